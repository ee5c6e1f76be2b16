"""Finds the routes that report whether the app is ready."""

import ast
import re
from collections.abc import Iterator, Mapping

from fastapi_operator.project import syntax
from fastapi_operator.project.guess import Guess
from fastapi_operator.project.source import Module, Project

_RUNTIME = "fastapi_operator_runtime"
# The last part of the path, the likeliest first.
_READY = (
    *("readyz", "ready", "readiness", "healthz", "health", "health-check", "healthcheck"),
    *("health_check", "healthy", "livez", "live", "liveness", "heartbeat", "ping", "alive"),
)
_VALID = re.compile(r"/[A-Za-z0-9._~/-]{0,255}")
_PROTECTED = re.compile(r"user|auth|token|api_?key|verify|secur|permission|admin|login", re.I)
_MAX_DEPTH = 6

# A router or an application: the name of its module, and its name there.
_Router = tuple[str, str]


def probes(project: Project) -> Guess[dict[str, str]] | None:
    """Returns the probes that the app has routes for."""
    if _RUNTIME in project.packages:
        return Guess({"source": "Runtime"}, f"{_RUNTIME} is imported")
    if trusted_hosts(project):
        return None
    found = sorted(
        (_READY.index(name), path, module.path)
        for path, module in _routes(project)
        if (name := path.rstrip("/").rpartition("/")[2].lower()) in _READY
    )
    if not found:
        return None
    _, path, source = found[0]
    return Guess({"readiness": path}, f"GET {path} in {source}")


def trusted_hosts(project: Project) -> str:
    """Returns the module that refuses requests of other hosts; empty if there is none."""
    for module in project.code:
        names = module.imported
        if "TrustedHostMiddleware" in names and "TrustedHostMiddleware" not in module.definitions:
            return module.path
    return ""


def _routes(project: Project) -> Iterator[tuple[str, Module]]:
    """Yields the whole path of each GET route without authentication."""
    routers = dict(_routers(project))
    parents = _parents(project)
    for module in project.code:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for decorator in node.decorator_list:
                path = _get_path(project, module, decorator)
                if path is None or _is_protected(node):
                    continue
                function = decorator.func if isinstance(decorator, ast.Call) else decorator
                assert isinstance(function, ast.Attribute)
                router = _router_of(project, module, function.value)
                for prefix in _prefixes(router, routers, parents):
                    whole = f"{prefix}{path}" or "/"
                    if _VALID.fullmatch(whole):
                        yield whole, module


def _get_path(project: Project, module: Module, decorator: ast.expr) -> str | None:
    """Returns the path of ``@router.get("/…")``."""
    if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
        return None
    methods = ast.unparse(value) if (value := syntax.keyword(decorator, "methods")) else ""
    if decorator.func.attr != "get" and not (
        decorator.func.attr in ("api_route", "route") and "GET" in methods
    ):
        return None
    given = decorator.args[0] if decorator.args else syntax.keyword(decorator, "path")
    return value_of(project, module, given)


def _is_protected(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a route seems to require a login, so that a probe would get 401."""
    arguments = ast.unparse(node.args)
    decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
    depends = re.findall(r"(?:Depends|Security)\([^)]*", arguments + decorators)
    named = re.findall(r":\s*(\w*(?:User|Auth|Token)\w*)", arguments)
    return bool(named) or any(_PROTECTED.search(text) for text in depends)


def _routers(project: Project) -> Iterator[tuple[_Router, str]]:
    """Yields each router with its own prefix."""
    for module in project.code:
        # Of two routers with the same name, either can be the one of a route.
        inner = ((name, calls[0]) for name, calls in module.inner_calls.items() if not calls[1:])
        for name, call in (*module.assigned_calls(), *inner):
            if syntax.last_name(call).endswith("Router"):
                prefix = value_of(project, module, syntax.keyword(call, "prefix"))
                if prefix is not None:
                    yield (module.name, name), prefix


def _parents(project: Project) -> Mapping[_Router, list[tuple[_Router | None, str]]]:
    """Returns the routers that include each router, with the prefix; None is the app."""
    found: dict[_Router, list[tuple[_Router | None, str]]] = {}
    for module in project.code:
        for call in syntax.calls(module.tree):
            if syntax.last_name(call) != "include_router":
                continue
            assert isinstance(call.func, ast.Attribute | ast.Name)
            included = call.args[0] if call.args else syntax.keyword(call, "router")
            child = _router_of(project, module, included)
            prefix = value_of(project, module, syntax.keyword(call, "prefix"))
            guarded = syntax.keyword(call, "dependencies")
            if child is None or prefix is None:
                continue
            if guarded is not None and _PROTECTED.search(ast.unparse(guarded)):
                continue
            value = call.func.value if isinstance(call.func, ast.Attribute) else None
            parent = _router_of(project, module, value)
            found.setdefault(child, []).append((parent, prefix))
    return found


def _router_of(project: Project, module: Module, node: ast.expr | None) -> _Router | None:
    """Returns the router that an expression names; None for an application."""
    found = project.find(module, node) if node is not None else None
    inner = module.inner_calls.get(syntax.dotted(node), ()) if found is None else ()
    if any(syntax.last_name(call).endswith("Router") for call in inner):
        return module.name, syntax.dotted(node)
    if found is None or not syntax.last_name(found.node).endswith("Router"):
        return None
    return found.module.name, found.name


def _prefixes(
    router: _Router | None,
    routers: Mapping[_Router, str],
    parents: Mapping[_Router, list[tuple[_Router | None, str]]],
    depth: int = 0,
) -> Iterator[str]:
    """Yields the prefixes under which a router is served; none if it is not included."""
    if router is None:
        yield ""
    elif router in routers and depth < _MAX_DEPTH:
        for parent, prefix in parents.get(router, ()):
            for outer in _prefixes(parent, routers, parents, depth + 1):
                yield f"{outer}{prefix}{routers[router]}"


def value_of(project: Project, module: Module, node: ast.expr | None, depth: int = 0) -> str | None:
    """Returns the text of an expression: of a constant, or of a setting with a default.

    An absent argument is an empty text. None means that the value is not known.
    """
    if node is None or isinstance(node, ast.Constant):
        value = node.value if isinstance(node, ast.Constant) else ""
        return value if isinstance(value, str) else None
    if depth > _MAX_DEPTH:
        return None
    if isinstance(node, ast.JoinedStr):
        inner = [
            part.value if isinstance(part, ast.FormattedValue) else part for part in node.values
        ]
        parts = [value_of(project, module, part, depth + 1) for part in inner]
        return None if None in parts else "".join(map(str, parts))
    found = project.find(module, node) if isinstance(node, ast.Name | ast.Attribute) else None
    if found is not None and isinstance(found.node, ast.expr):
        return value_of(project, found.module, found.node, depth + 1)
    return _setting(project, node.attr) if isinstance(node, ast.Attribute) else None


def _setting(project: Project, name: str) -> str | None:
    """Returns the default of a field of a settings class, for example ``API_PREFIX``."""
    for module in project.code:
        for defined in module.definitions.values():
            if not isinstance(defined, ast.ClassDef) or "ettings" not in ast.unparse(defined):
                continue
            for statement in defined.body:
                assigned = syntax.assignment(statement)
                if assigned and assigned[0] == name:
                    return value_of(project, module, assigned[1], _MAX_DEPTH)
    return None
