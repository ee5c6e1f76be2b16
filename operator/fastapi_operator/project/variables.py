"""Environment variables that a project reads: by settings classes, and by name."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from fastapi_operator.project import settings_classes, syntax
from fastapi_operator.project.source import Module, Project
from fastapi_operator.project.variable import Variable, is_random, is_secret, read_name

_VALID_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
# Set by the platform or by Python itself.
_OF_PLATFORM = frozenset({"PATH", "HOME", "USER", "HOSTNAME", "TZ", "PYTHONPATH", "PWD", "TMPDIR"})
# Types of variables in calls, also those of starlette.datastructures.
_TYPES = frozenset(
    {"str", "int", "float", "bool", "Path", "Secret", "URL", "CommaSeparatedStrings"}
)


def variables(project: Project) -> tuple[Variable, ...]:
    """Returns the variables that a project reads, each once."""
    found: dict[str, Variable] = {}
    for variable in (*settings_classes.fields(project), *_of_calls(project)):
        if variable.name in _OF_PLATFORM or not _VALID_NAME.fullmatch(variable.name):
            continue
        known = found.setdefault(variable.name, variable)
        if variable.required and not known.required:
            found[variable.name] = replace(
                known, required=True, secret=known.secret or variable.secret
            )
    return tuple(found.values())


def _of_calls(project: Project) -> Iterator[Variable]:
    """Yields the variables that are read by name, for example ``os.environ["NAME"]``."""
    unused = settings_classes.unused_nodes(project)
    for module in project.modules:
        for node in ast.walk(module.tree):
            if id(node) in unused:
                continue
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                if syntax.dotted(node.value).endswith("environ") and syntax.text(node.slice):
                    yield _read(module, syntax.text(node.slice), None, required=True)
            elif isinstance(node, ast.Call) and read_name(node):
                default = syntax.keyword(node, "default")
                # Starlette's Config takes the type before the default, the others after it.
                given = [item for item in node.args[1:] if not _is_type(item)]
                if default is None and given:
                    default = given[0]
                required = default is None and not _is_optional(node)
                yield _read(module, read_name(node), default, required=required)


def _read(module: Module, name: str, default: ast.expr | None, *, required: bool) -> Variable:
    return Variable(
        name=name,
        source=f"{module.path}",
        required=required,
        secret=is_secret(name),
        default=syntax.text(default),
        random=is_random(default),
    )


def _is_type(node: ast.expr) -> bool:
    return syntax.last_name(node) in _TYPES


def _is_optional(call: ast.Call) -> bool:
    return syntax.dotted(call.func).endswith(("environ.get", "getenv", "environ.setdefault"))
