"""Reads names, constants and calls from syntax trees."""

import ast
from collections.abc import Iterator


def dotted(node: ast.expr | None) -> str:
    """Returns the dotted name of an expression, for example ``os.environ.get``; else empty."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        value = dotted(node.value)
        return f"{value}.{node.attr}" if value else ""
    return ""


def last_name(node: ast.AST | None) -> str:
    """Returns the last part of a name or of a called name: ``FastAPI`` of ``f.FastAPI()``."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def made_by(node: ast.AST) -> Iterator[str]:
    """Yields the calls that make a value.

    These are ``A`` of ``A().with_option(1)``, and ``A`` and ``B`` of ``A() if condition else B()``.
    """
    if isinstance(node, ast.IfExp):
        yield from made_by(node.body)
        yield from made_by(node.orelse)
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
            yield from made_by(node.func.value)
        else:
            yield last_name(node)


def text(node: ast.expr | None) -> str:
    """Returns the value of a text constant; else empty."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ""


def keyword(node: ast.expr | None, name: str) -> ast.expr | None:
    """Returns a keyword argument of a call."""
    if isinstance(node, ast.Call):
        for argument in node.keywords:
            if argument.arg == name:
                return argument.value
    return None


def keyword_text(node: ast.expr | None, name: str) -> str:
    """Returns a keyword argument of a call, if it is a text constant; else empty."""
    return text(keyword(node, name))


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yields all calls of a tree."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def texts(tree: ast.AST) -> Iterator[str]:
    """Yields all text constants of a tree."""
    return (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yields statements that run at import: also those in ``if``, ``try`` and ``with``."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and "__name__" not in ast.unparse(node.test):
            yield from statements([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            inner = [*node.body, *node.orelse, *node.finalbody]
            yield from statements(inner)
        elif isinstance(node, ast.With):
            yield from statements(node.body)


def assignment(node: ast.stmt) -> tuple[str, ast.expr] | None:
    """Returns the name and the value of ``name = value`` or ``name: type = value``."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target, value = node.target, node.value
    else:
        return None
    return (target.id, value) if isinstance(target, ast.Name) else None
