"""An environment variable that a project reads."""

import ast
import re
from dataclasses import dataclass

from fastapi_operator.project import syntax

_SECRET_WORDS = ("password", "secret", "token", "api_key", "apikey", "private_key", "dsn")
# Keys of ciphers and of stores; KEY alone is also a part of ordinary names.
_KEYS = re.compile(r"(crypt|encryption|signing|fernet|jwt|master|access)_?key$")
# Names with a secret word that are settings of it, for example ACCESS_TOKEN_EXPIRE_MINUTES.
_NOT_SECRET = re.compile(
    r"(expire|minutes|hours|days|seconds|lifetime|ttl|algorithm|url|prefix|length|type|name|max)"
)
# Each process gets another value, so that a token of one is not valid in the others.
_RANDOM = re.compile(r"\b(token_(urlsafe|hex|bytes)|urandom|uuid4|generate_key|randbytes)\b")


@dataclass(frozen=True)
class Variable:
    """An environment variable that the code reads.

    Attributes:
        name: Name of the variable.
        source: Its class and file.
        required: Whether the code has no default for it.
        secret: Whether its type or name indicates a secret.
        default: Its default as written; empty if it is not a text.
        random: Whether its default is another one in each process.
        example: The value that the project publishes for it; empty if there is none.
        example_source: The file with that value.
    """

    name: str
    source: str
    required: bool
    secret: bool
    default: str = ""
    random: bool = False
    example: str = ""
    example_source: str = ""

    @property
    def is_public(self) -> bool:
        """Whether it is a secret with a default that everybody can read in the code."""
        return self.secret and bool(self.default)

    @property
    def must_be_set(self) -> bool:
        """Whether a deployment cannot use the default."""
        return self.required or self.random or self.is_public


def is_secret(name: str) -> bool:
    """Whether the name of a variable indicates a secret."""
    lower = name.lower()
    has_word = _KEYS.search(lower) or any(word in lower for word in _SECRET_WORDS)
    return bool(has_word) and not _NOT_SECRET.search(lower)


def is_random(default: ast.expr | None) -> bool:
    """Whether a default is another one in each process."""
    return default is not None and bool(_RANDOM.search(ast.unparse(default)))


def read_name(call: ast.Call) -> str:
    """Returns the variable that a call reads: os.getenv, or config and env of other libraries."""
    name = syntax.dotted(call.func)
    first = syntax.text(call.args[0]) if call.args else ""
    reads = (
        name.endswith(("environ.get", "getenv"))
        or name in ("config", "env", "decouple.config")
        or re.fullmatch(r"env\.(str|int|bool|float|list|url|json|dict|path)", name)
    )
    return first if reads and re.fullmatch(r"[A-Z][A-Z0-9_]*", first) else ""
