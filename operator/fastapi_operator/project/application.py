"""Finds the ASGI application of a project."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi_operator.project import syntax
from fastapi_operator.project.guess import Guess
from fastapi_operator.project.processes import Process
from fastapi_operator.project.source import Definition, Module, Project, ProjectError

# Usual modules of an app, the likeliest first. The fastapi command searches them too.
_USUAL_MODULES = ("main", "app", "api", "app.main", "app.app", "app.api")
_Function = ast.FunctionDef | ast.AsyncFunctionDef
# Classes of an application around another one. Others only register something with it.
_WRAPPER = re.compile(r"(Middleware|ASGIApp|AsgiApp)$")
_TARGET = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_.]*"


@dataclass(frozen=True)
class Application:
    """The ASGI application.

    Attributes:
        target: Its module and name, for example ``shop.main:app``.
        factory: Whether it is a function that makes the application.
        module: The module, if it is one of the project.
    """

    target: Guess[str]
    factory: bool
    module: Module | None = None


def application(project: Project, started: tuple[Process, ...]) -> Application:
    """Returns the application that the project starts, or else the likeliest one.

    Args:
        project: The project.
        started: The processes that its files start.

    Raises:
        ProjectError: There is none, or it is only made by a function with arguments.
    """
    return (
        _declared(project)
        or next(_started(project, started), None)
        or _likeliest(project)
        or _none(project)
    )


def _declared(project: Project) -> Application | None:
    entrypoint = project.pyproject.get("tool", {}).get("fastapi", {}).get("entrypoint")
    if entrypoint is None:
        return None
    if not re.fullmatch(_TARGET, str(entrypoint)) or len(entrypoint) > 256:
        raise ProjectError(
            f"{project.root}/pyproject.toml: [tool.fastapi] entrypoint {entrypoint!r} is not "
            "valid; use package.module:app"
        )
    name, _, attribute = entrypoint.partition(":")
    module = project.module(name)
    found = project.find(module, attribute) if module else None
    source = "[tool.fastapi] entrypoint in pyproject.toml"
    return Application(
        Guess(entrypoint, source), bool(found and isinstance(found.node, _Function)), module
    )


def _started(project: Project, started: tuple[Process, ...]) -> Iterator[Application]:
    """Yields the applications in commands, for example ``uvicorn app.main:app``."""
    for process in started:
        if process.program == "fastapi" and process.arguments:
            yield from _of_file(project, process)
        if process.target:
            name, attribute, called = process.target
            yield from _named(project, name, attribute, process.source, called=called)
    for module in project.modules:
        for call in syntax.calls(module.tree):
            if syntax.dotted(call.func).endswith("uvicorn.run") and call.args:
                name, _, attribute = syntax.text(call.args[0]).partition(":")
                called = isinstance(syntax.keyword(call, "factory"), ast.Constant)
                source = f"uvicorn.run in {module.path}"
                yield from _named(project, name, attribute, source, called=called)


def _of_file(project: Project, process: Process) -> Iterator[Application]:
    """Yields the application of ``fastapi run FILE``."""
    for argument in process.arguments[1:]:
        for module in project.code:
            if argument.endswith(".py") and argument.endswith(module.path.rpartition("/")[2]):
                names = sorted(_objects(project, module), key=lambda name: name != "app")
                if names and module.path.endswith(argument):
                    target = Guess(f"{module.name}:{names[0]}", process.source)
                    yield Application(target, factory=False, module=module)


def _named(
    project: Project, name: str, attribute: str, source: str, *, called: bool
) -> Iterator[Application]:
    module = project.module(name)
    found = project.find(module, attribute) if module and attribute else None
    if module is None or found is None or module.aside:
        return
    factory = called or isinstance(found.node, _Function)
    if not (isinstance(found.node, _Function) and _required(found.node)):
        yield Application(Guess(f"{name}:{attribute}", source), factory, module)


def _likeliest(project: Project) -> Application | None:
    mounted = set(_mounted(project))
    for find, factory in ((_objects, False), (_factories, True)):
        found = sorted(
            ((module, name) for module in project.code for name in find(project, module)),
            key=lambda pair: ((pair[0].name, pair[1]) in mounted, *_likelihood(*pair)),
        )
        if found:
            module, name = found[0]
            others = ", ".join(f"{other.name}:{attribute}" for other, attribute in found[1:4])
            source = f"{'a function' if factory else 'the object'} in {module.path}"
            target = Guess(
                f"{module.name}:{name}", f"{source}; also {others}" if others else source
            )
            return Application(target, factory, module)
    return None


def _none(project: Project) -> Application:
    for module in project.code:
        for name, node in module.definitions.items():
            if isinstance(node, _Function) and _returns_app(project, module, node):
                needed = ", ".join(_required(node)) or "await"
                raise ProjectError(
                    f"{project.root}: {name} in {module.path} makes the application, but needs "
                    f"{needed}; add a module with app = {name}(…), and set it in pyproject.toml: "
                    '[tool.fastapi] entrypoint = "package.module:app"'
                )
    raise ProjectError(
        f"{project.root}: no FastAPI application found; set it in pyproject.toml: "
        '[tool.fastapi] entrypoint = "package.module:app"'
    )


def _objects(project: Project, module: Module) -> Iterator[str]:
    """Yields the names of applications in a module, except those within another one."""
    if not _is_importable(module):
        return
    names = [name for name, node in module.definitions.items() if is_app(project, module, node)]
    wrapped = {
        argument.id
        for name in names
        for argument in _arguments(module.definitions[name])
        if isinstance(argument, ast.Name)
    }
    yield from (name for name in names if name not in wrapped)


def _factories(project: Project, module: Module) -> Iterator[str]:
    if not _is_importable(module):
        return
    for name, node in module.definitions.items():
        plain = isinstance(node, ast.FunctionDef) and not _required(node)
        if plain and _returns_app(project, module, node):
            yield name


def is_app(project: Project, module: Module, node: ast.AST, depth: int = 0) -> bool:
    """Whether an expression makes a FastAPI application, or wraps one in middleware."""
    if not isinstance(node, ast.Call) or depth > 4:
        return False
    if syntax.last_name(node) == "FastAPI":
        return True
    found = project.find(module, node.func)
    if found is None:
        return any(
            isinstance(argument, ast.Name)
            and is_app(project, module, module.definitions.get(argument.id, argument), depth + 1)
            for argument in _arguments(node)
            if _WRAPPER.search(syntax.last_name(node))
        )
    if isinstance(found.node, ast.ClassDef):
        return _is_subclass(project, found)
    return isinstance(found.node, ast.FunctionDef) and _returns_app(
        project, found.module, found.node, depth + 1
    )


def _is_subclass(project: Project, found: Definition) -> bool:
    for base in found.node.bases if isinstance(found.node, ast.ClassDef) else ():
        if syntax.last_name(base) == "FastAPI":
            return True
        parent = project.find(found.module, base)
        if parent and parent.node is not found.node and _is_subclass(project, parent):
            return True
    return False


def _returns_app(project: Project, module: Module, node: ast.AST, depth: int = 0) -> bool:
    if not isinstance(node, _Function):
        return False
    if node.returns is not None:
        name = (syntax.text(node.returns) or ast.unparse(node.returns)).rpartition(".")[2]
        if name in ("FastAPI", "None", "str", "int", "dict"):
            return name == "FastAPI"
    made = {
        assigned[0]
        for statement in ast.walk(node)
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        and (assigned := syntax.assignment(statement))
        and is_app(project, module, assigned[1], depth + 1)
    }
    return any(
        isinstance(statement, ast.Return)
        and statement.value is not None
        and (
            syntax.dotted(statement.value) in made
            or is_app(project, module, statement.value, depth + 1)
        )
        for statement in ast.walk(node)
    )


def _required(node: _Function) -> list[str]:
    """Returns the parameters without a default."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = positional[: len(positional) - len(arguments.defaults)]
    required += [
        argument
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    return [argument.arg for argument in required]


def _arguments(node: ast.AST) -> list[ast.expr]:
    if not isinstance(node, ast.Call):
        return []
    return [*node.args, *(argument.value for argument in node.keywords)]


def _mounted(project: Project) -> Iterator[tuple[str, str]]:
    """Yields the applications that are mounted in another one."""
    for module in project.code:
        for call in syntax.calls(module.tree):
            if syntax.last_name(call) == "mount" and len(call.args) > 1:
                found = project.find(module, call.args[1])
                if found:
                    yield found.module.name, found.name


def _is_importable(module: Module) -> bool:
    return bool(module.name) and all(part.isidentifier() for part in module.name.split("."))


def _likelihood(module: Module, name: str) -> tuple[int, int, bool, str]:
    whole = f".{module.name}"
    ranks = [rank for rank, usual in enumerate(_USUAL_MODULES) if whole.endswith(f".{usual}")]
    return (
        min(ranks, default=len(_USUAL_MODULES)),
        module.name.count("."),
        name != "app",
        module.name,
    )
