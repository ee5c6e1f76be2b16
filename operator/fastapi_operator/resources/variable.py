"""The value of an environment variable: a text, a number or a key of a Secret."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SecretKey:
    """A value that is in a Secret."""

    secret: str
    key: str


Value = str | int | float | SecretKey | None
