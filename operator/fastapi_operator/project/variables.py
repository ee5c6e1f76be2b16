"""Environment variables that a project's pydantic-settings classes read."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi_operator.project.source import Module, Project
from fastapi_operator.resources.environment import CONTRACT

_SECRET_WORDS = ("password", "secret", "token", "api_key", "apikey", "private_key", "dsn")
_SET_BY_OPERATOR = frozenset(variable.name for variable in CONTRACT)


@dataclass(frozen=True)
class Variable:
    """An environment variable that a settings class reads.

    Attributes:
        name: Name of the variable.
        source: Its class and file.
        required: Whether the class has no default for it.
        secret: Whether its type or name indicates a secret.
    """

    name: str
    source: str
    required: bool
    secret: bool


def variables(project: Project) -> Iterator[Variable]:
    """Yields each variable of the settings classes once, except those that the operator sets."""
    seen = set(_SET_BY_OPERATOR)
    for module in project.modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and _is_settings(node):
                for variable in _of_class(module, node):
                    if variable.name not in seen:
                        seen.add(variable.name)
                        yield variable


def _is_settings(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).rpartition(".")[2] == "BaseSettings" for base in node.bases)


def _of_class(module: Module, node: ast.ClassDef) -> Iterator[Variable]:
    prefix = _prefix(node)
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name, kind = statement.target.id, ast.unparse(statement.annotation)
        if name == "model_config" or "ClassVar" in kind:
            continue
        alias = _keyword(statement.value, "validation_alias") or _keyword(statement.value, "alias")
        yield Variable(
            name=alias or f"{prefix}{name}".upper(),
            source=f"{node.name} in {module.path}",
            required=_is_required(statement.value),
            secret="Secret" in kind or any(word in name.lower() for word in _SECRET_WORDS),
        )


def _prefix(node: ast.ClassDef) -> str:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and "model_config" in ast.unparse(
            statement.targets[0]
        ):
            return _keyword(statement.value, "env_prefix")
    return ""


def _keyword(value: ast.expr | None, name: str) -> str:
    """Returns a constant keyword argument of a call, or an empty string."""
    for keyword in value.keywords if isinstance(value, ast.Call) else ():
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return ""


def _is_required(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("Field"):
        named = {keyword.arg for keyword in value.keywords}
        if named & {"default", "default_factory"}:
            return False
        return not value.args or _is_ellipsis(value.args[0])
    return value is None or _is_ellipsis(value)


def _is_ellipsis(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is ...
