"""Environment variables that a project reads: by settings classes, and by name."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from fastapi_operator.project import syntax
from fastapi_operator.project.source import Definition, Module, Project

_SECRET_WORDS = ("password", "secret", "token", "api_key", "apikey", "private_key", "dsn")
# Names with a secret word that are settings of it, for example ACCESS_TOKEN_EXPIRE_MINUTES.
_NOT_SECRET = re.compile(
    r"(expire|minutes|hours|days|seconds|lifetime|ttl|algorithm|url|prefix|length|type|name|max)"
)
_VALID_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
# Each process gets another value, so that a token of one is not valid in the others.
_RANDOM = re.compile(r"\b(token_(urlsafe|hex|bytes)|urandom|uuid4|generate_key|randbytes)\b")
_OF_DEVELOPMENT = re.compile(
    r"^(test|dev|local|debug)|(test|dev|local|debug)(settings|config)?$", re.I
)
# Set by the platform or by Python itself.
_OF_PLATFORM = frozenset({"PATH", "HOME", "USER", "HOSTNAME", "TZ", "PYTHONPATH", "PWD", "TMPDIR"})
_READERS = {
    "environ.get": False,
    "getenv": False,
    "environ.setdefault": False,
}


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
    """

    name: str
    source: str
    required: bool
    secret: bool
    default: str = ""
    random: bool = False

    @property
    def is_public(self) -> bool:
        """Whether it is a secret with a default that everybody can read in the code."""
        return self.secret and bool(self.default)

    @property
    def must_be_set(self) -> bool:
        """Whether a deployment cannot use the default."""
        return self.required or self.random or self.is_public


def variables(project: Project) -> tuple[Variable, ...]:
    """Returns the variables that a project reads, each once."""
    found: dict[str, Variable] = {}
    for variable in (*_of_classes(project), *_of_calls(project)):
        if variable.name in _OF_PLATFORM or not _VALID_NAME.fullmatch(variable.name):
            continue
        known = found.setdefault(variable.name, variable)
        if variable.required and not known.required:
            found[variable.name] = replace(
                known, required=True, secret=known.secret or variable.secret
            )
    return tuple(found.values())


def is_secret(name: str) -> bool:
    """Whether the name of a variable indicates a secret."""
    lower = name.lower()
    return any(word in lower for word in _SECRET_WORDS) and not _NOT_SECRET.search(lower)


# --- settings classes -----------------------------------------------------------------------------


def _of_classes(project: Project) -> Iterator[Variable]:
    classes = [
        Definition(module, name, node)
        for module in project.modules
        for name, node in module.definitions.items()
        if isinstance(node, ast.ClassDef) and _is_settings(project, Definition(module, name, node))
    ]
    for found in _in_use(project, classes):
        yield from _of_class(project, found)


def _is_settings(project: Project, found: Definition) -> bool:
    return any(
        syntax.last_name(base) == "BaseSettings"
        for ancestor in _ancestors(project, found)
        for base in _bases(ancestor)
    )


def _in_use(project: Project, classes: list[Definition]) -> list[Definition]:
    """Returns the classes that the code makes, or else those that no other one inherits from."""
    inherited = {
        id(ancestor.node) for found in classes for ancestor in list(_ancestors(project, found))[1:]
    }
    used = {id(found.node) for module in project.modules for found in _made(project, module)}
    leaves = [found for found in classes if id(found.node) not in inherited]
    chosen = [found for found in classes if id(found.node) in used] or leaves
    real = [found for found in chosen if not _OF_DEVELOPMENT.search(found.name)]
    return real or chosen


def _made(project: Project, module: Module) -> Iterator[Definition]:
    """Yields the classes that a module calls or passes on; not those in bases and types."""
    skipped: set[int] = set()
    for node in ast.walk(module.tree):
        annotation = getattr(node, "annotation", None) or getattr(node, "returns", None)
        for part in (annotation, *(node.bases if isinstance(node, ast.ClassDef) else ())):
            if part is not None:
                skipped |= {id(inner) for inner in ast.walk(part)}
        if isinstance(node, ast.Call) and syntax.last_name(node) in ("isinstance", "issubclass"):
            skipped |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in skipped:
            found = project.find(module, node)
            if found and isinstance(found.node, ast.ClassDef):
                yield found


def _of_class(project: Project, found: Definition) -> Iterator[Variable]:
    """Yields the fields of a class and its ancestors; the nearest definition is used."""
    lineage = list(_ancestors(project, found))
    prefix = next((text for ancestor in lineage if (text := _config(ancestor, "env_prefix"))), "")
    seen: set[str] = set()
    for ancestor in lineage:
        for statement in _body(ancestor):
            if not isinstance(statement, ast.AnnAssign):
                continue
            name = syntax.dotted(statement.target)
            kind = ast.unparse(statement.annotation)
            if not name or name in seen or name == "model_config" or "ClassVar" in kind:
                continue
            seen.add(name)
            nested = project.find(ancestor.module, _type(statement.annotation))
            delimiter = _delimiter(lineage)
            if nested and isinstance(nested.node, ast.ClassDef) and not _is_enum(nested):
                if delimiter and not _is_settings(project, nested):
                    yield from _nested(project, nested, f"{prefix}{name}{delimiter}", statement)
                continue
            yield from _field(ancestor, name, statement, prefix)


def _nested(
    project: Project, found: Definition, prefix: str, field: ast.AnnAssign
) -> Iterator[Variable]:
    """Yields the fields of a model in a settings class, which have a prefix each."""
    for ancestor in _ancestors(project, found):
        for statement in _body(ancestor):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                for variable in _field(ancestor, statement.target.id, statement, prefix):
                    required = variable.required and field.value is None
                    yield replace(variable, required=required)


def _field(
    found: Definition, name: str, statement: ast.AnnAssign, prefix: str
) -> Iterator[Variable]:
    kind, value = ast.unparse(statement.annotation), statement.value
    if isinstance(value, ast.Call) and _read_name(value):
        return  # for example config("NAME"), which is found as a call
    alias = _alias(value)
    default = _default(value)
    yield Variable(
        name=alias or f"{prefix}{name}".upper(),
        source=f"{found.name} in {found.module.path}",
        required=_is_required(value),
        secret="Secret" in kind or is_secret(name),
        default=syntax.text(default),
        random=default is not None and bool(_RANDOM.search(ast.unparse(default))),
    )


def _ancestors(project: Project, found: Definition, depth: int = 0) -> Iterator[Definition]:
    """Yields a class and the project's classes that it inherits from, the nearest first."""
    yield found
    for base in _bases(found) if depth < 8 else ():
        parent = project.find(found.module, base)
        if parent and isinstance(parent.node, ast.ClassDef) and parent.node is not found.node:
            yield from _ancestors(project, parent, depth + 1)


def _bases(found: Definition) -> list[ast.expr]:
    return found.node.bases if isinstance(found.node, ast.ClassDef) else []


def _body(found: Definition) -> list[ast.stmt]:
    return found.node.body if isinstance(found.node, ast.ClassDef) else []


def _is_enum(found: Definition) -> bool:
    return any("Enum" in syntax.last_name(base) for base in _bases(found))


def _type(node: ast.expr) -> ast.expr:
    """Returns the type of an annotation without ``| None``."""
    if isinstance(node, ast.BinOp):
        return node.left
    return node


def _config(found: Definition, name: str) -> str:
    """Returns a text of ``model_config``, or of the ``Config`` class of older versions."""
    for statement in _body(found):
        assigned = syntax.assignment(statement)
        if assigned and assigned[0] == "model_config":
            value = assigned[1]
            if isinstance(value, ast.Dict):
                for key, item in zip(value.keys, value.values, strict=True):
                    if syntax.text(key) == name:
                        return syntax.text(item)
            return syntax.keyword_text(value, name)
        if isinstance(statement, ast.ClassDef) and statement.name == "Config":
            for inner in statement.body:
                pair = syntax.assignment(inner)
                if pair and pair[0] == name:
                    return syntax.text(pair[1])
    return ""


def _delimiter(lineage: Iterable[Definition]) -> str:
    return next((text for found in lineage if (text := _config(found, "env_nested_delimiter"))), "")


def _alias(value: ast.expr | None) -> str:
    for name in ("validation_alias", "alias", "env"):
        given = syntax.keyword(value, name)
        if isinstance(given, ast.Call | ast.List | ast.Tuple):  # AliasChoices("A", "B")
            given = next(iter(given.args if isinstance(given, ast.Call) else given.elts), None)
        if syntax.text(given):
            return syntax.text(given)
    return ""


def _default(value: ast.expr | None) -> ast.expr | None:
    """Returns the default of a field: its value, or that in ``Field(…)``."""
    if isinstance(value, ast.Call) and syntax.last_name(value) == "Field":
        given = syntax.keyword(value, "default") or syntax.keyword(value, "default_factory")
        value = given or (value.args[0] if value.args else None)
    if isinstance(value, ast.Call) and syntax.last_name(value) == "SecretStr" and value.args:
        return value.args[0]
    return value


def _is_required(value: ast.expr | None) -> bool:
    default = _default(value)
    return default is None or (isinstance(default, ast.Constant) and default.value is ...)


# --- names in calls -------------------------------------------------------------------------------


def _of_calls(project: Project) -> Iterator[Variable]:
    """Yields the variables that are read by name, for example ``os.environ["NAME"]``."""
    for module in project.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                if syntax.dotted(node.value).endswith("environ") and syntax.text(node.slice):
                    yield _read(module, syntax.text(node.slice), None, required=True)
            elif isinstance(node, ast.Call) and _read_name(node):
                default = syntax.keyword(node, "default")
                if default is None and len(node.args) > 1:
                    default = node.args[1]
                required = default is None and not _is_optional(node)
                yield _read(module, _read_name(node), default, required=required)


def _read(module: Module, name: str, default: ast.expr | None, *, required: bool) -> Variable:
    return Variable(
        name=name,
        source=f"{module.path}",
        required=required,
        secret=is_secret(name),
        default=syntax.text(default),
        random=default is not None and bool(_RANDOM.search(ast.unparse(default))),
    )


def _is_optional(call: ast.Call) -> bool:
    return syntax.dotted(call.func).endswith(("environ.get", "getenv", "environ.setdefault"))


def _read_name(call: ast.Call) -> str:
    """Returns the variable that a call reads: os.getenv, or config and env of other libraries."""
    name = syntax.dotted(call.func)
    first = syntax.text(call.args[0]) if call.args else ""
    reads = (
        name.endswith(("environ.get", "getenv"))
        or name in ("config", "env", "decouple.config")
        or re.fullmatch(r"env\.(str|int|bool|float|list|url|json|dict|path)", name)
    )
    return first if reads and re.fullmatch(r"[A-Z][A-Z0-9_]*", first) else ""
