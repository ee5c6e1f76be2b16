"""Values of generated Secrets, made at the moment of the one write and known nowhere else."""

import base64
import secrets
import string
from collections.abc import Callable, Mapping
from typing import Any

from fastapi_operator.resources.desired import Generated

# Letters and digits only, so that a password stands in a URL as it is: 190 bits.
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 32


def new_password() -> str:
    """A fresh random password."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def filled(
    body: Mapping[str, Any],
    generated: Generated,
    *,
    password: Callable[[], str] = new_password,
) -> dict[str, Any]:
    """The Secret with its values; what the builder set stays as it is."""
    passwords = {key: password() for key in generated.passwords}
    values = dict(passwords)
    for key, text in generated.templates.items():
        for name, value in passwords.items():
            text = text.replace(f"{{{name}}}", value)  # noqa: PLW2901
        values[key] = text
    coded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {**body, "data": {**coded, **body.get("data", {})}}
