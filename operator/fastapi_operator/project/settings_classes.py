"""Variables that settings classes of pydantic read."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from fastapi_operator.project import syntax
from fastapi_operator.project.source import Definition, Module, Project
from fastapi_operator.project.variable import Variable, is_random, is_secret, read_name

_OF_DEVELOPMENT = re.compile(
    r"^(test|dev|local|debug)|(test|dev|local|debug)(settings|config)?$", re.I
)


def fields(project: Project) -> Iterator[Variable]:
    """Yields the variables of the classes that the code makes."""
    for found in _in_use(project, list(_classes(project))):
        yield from _of_class(project, found)


def unused_nodes(project: Project) -> frozenset[int]:
    """Returns the ids of the nodes in classes that no class in use inherits from."""
    classes = list(_classes(project))
    used = _in_use(project, classes)
    kept = {id(ancestor.node) for found in used for ancestor in _ancestors(project, found)}
    return frozenset(
        id(node) for found in classes if id(found.node) not in kept for node in ast.walk(found.node)
    )


def _classes(project: Project) -> Iterator[Definition]:
    for module in project.modules:
        for name, node in module.definitions.items():
            found = Definition(module, name, node)
            if isinstance(node, ast.ClassDef) and _is_settings(project, found):
                yield found


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
    if isinstance(value, ast.Call) and read_name(value):
        return  # for example config("NAME"), which is found as a call
    alias = _alias(value)
    default = _default(value)
    yield Variable(
        name=alias or f"{prefix}{name}".upper(),
        source=f"{found.name} in {found.module.path}",
        required=_is_required(value),
        secret="Secret" in kind or is_secret(name),
        default=syntax.text(default),
        random=is_random(default),
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
