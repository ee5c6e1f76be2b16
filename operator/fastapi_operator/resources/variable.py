"""The value of an environment variable: a text or number, or a place in a Secret."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SecretKey:
    """A value that stands in a Secret."""

    secret: str
    key: str


Value = str | int | float | SecretKey | None
