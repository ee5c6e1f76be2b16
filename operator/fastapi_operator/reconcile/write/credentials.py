"""Values of generated Secrets; they are created at write time and kept only in the Secret."""

import base64
import secrets
import string
from collections.abc import Callable, Mapping
from typing import Any

from fastapi_operator.resources.desired import PASSWORD, USERNAME, Generated

# Letters and digits only, so that a password needs no encoding in a URL: 190 bits.
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 32


def new_password() -> str:
    """Returns a new random password."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def fill_credentials(
    body: Mapping[str, Any],
    generated: Generated,
    *,
    password: Callable[[], str] = new_password,
) -> dict[str, Any]:
    """Returns the Secret with generated values; values that the builder set stay."""
    values = {key: password() for key in generated.passwords}
    values |= _fill_templates(generated, values)
    if generated.alternating:
        first = generated.alternating[0]
        values |= {USERNAME: first, PASSWORD: values[first]}
    return {**body, "data": {**_encode(values), **body.get("data", {})}}


def switch_user(data: Mapping[str, str], generated: Generated) -> dict[str, str]:
    """Returns the data of a Secret that change if the other user is used.

    Raises:
        KeyError: The Secret has no value for a key.
    """
    user = _unused_user(data, generated)
    return {**_encode({USERNAME: user}), PASSWORD: data[user]}


def renew_unused_password(
    data: Mapping[str, str],
    generated: Generated,
    *,
    password: Callable[[], str] = new_password,
) -> dict[str, str]:
    """Returns the data of a Secret that change if its unused user gets another password.

    Raises:
        KeyError: The Secret has no value for a key.
    """
    fresh = {_unused_user(data, generated): password()}
    values = {key: _decode(data[key]) for key in generated.passwords if key not in fresh}
    return _encode({**fresh, **_fill_templates(generated, values | fresh)})


def _unused_user(data: Mapping[str, str], generated: Generated) -> str:
    assert generated.alternating is not None, "two users alternate"
    first, second = generated.alternating
    return second if _decode(data[USERNAME]) == first else first


def _fill_templates(generated: Generated, passwords: Mapping[str, str]) -> dict[str, str]:
    texts = dict(generated.templates)
    for name, value in passwords.items():
        texts = {key: text.replace(f"{{{name}}}", value) for key, text in texts.items()}
    return texts


def _encode(values: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def _decode(value: str) -> str:
    return base64.b64decode(value).decode()
