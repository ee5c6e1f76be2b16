"""Values of generated Secrets, made at the moment of the one write and known nowhere else."""

import base64
import secrets
import string
from collections.abc import Callable, Mapping
from typing import Any

from fastapi_operator.resources.desired import PASSWORD, USERNAME, Generated

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
    values = {key: password() for key in generated.passwords}
    values |= _texts(generated, values)
    if generated.alternating:
        first = generated.alternating[0]
        values |= {USERNAME: first, PASSWORD: values[first]}
    return {**body, "data": {**_coded(values), **body.get("data", {})}}


def switched(data: Mapping[str, str], generated: Generated) -> dict[str, str]:
    """The data of a Secret that change when the other user comes into use.

    Raises:
        KeyError: The Secret lacks a key.
    """
    user = _idle(data, generated)
    return {**_coded({USERNAME: user}), PASSWORD: data[user]}


def renewed(
    data: Mapping[str, str],
    generated: Generated,
    *,
    password: Callable[[], str] = new_password,
) -> dict[str, str]:
    """The data of a Secret that change when the user that is not in use gets another password.

    Raises:
        KeyError: The Secret lacks a key.
    """
    fresh = {_idle(data, generated): password()}
    values = {key: _decoded(data[key]) for key in generated.passwords if key not in fresh}
    return _coded({**fresh, **_texts(generated, values | fresh)})


def _idle(data: Mapping[str, str], generated: Generated) -> str:
    assert generated.alternating is not None, "two users alternate"
    first, second = generated.alternating
    return second if _decoded(data[USERNAME]) == first else first


def _texts(generated: Generated, passwords: Mapping[str, str]) -> dict[str, str]:
    texts = dict(generated.templates)
    for name, value in passwords.items():
        texts = {key: text.replace(f"{{{name}}}", value) for key, text in texts.items()}
    return texts


def _coded(values: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def _decoded(value: str) -> str:
    return base64.b64decode(value).decode()
