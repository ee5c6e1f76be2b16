"""Reads a project's modules, dependencies and settings without importing or running them."""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

# Directories without code of the service.
_IGNORED_DIRECTORIES = frozenset(
    {"tests", "test", "docs", "scripts", "examples", "migrations", "alembic", "node_modules"}
    | {"build", "dist", "site-packages", "venv", "env", "__pycache__"}
)
_MAX_FILES = 2000


class ProjectError(ValueError):
    """The directory is not a readable project."""


@dataclass(frozen=True)
class Module:
    """One Python file.

    Attributes:
        name: Its import name, for example ``shop.main``.
        path: Its path in the project.
        tree: Its syntax tree.
    """

    name: str
    path: str
    tree: ast.Module

    @cached_property
    def imports(self) -> frozenset[str]:
        """Top-level names of the packages that the module imports."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
        return frozenset(found)

    def assigned_calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Yields each top-level ``name = call(…)``, in order."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target = node.targets[0]
            elif isinstance(node, ast.AnnAssign):
                target = node.target
            else:
                continue
            if isinstance(target, ast.Name) and isinstance(node.value, ast.Call):
                yield target.id, node.value


@dataclass(frozen=True)
class Project:
    """The content of a project.

    Attributes:
        root: Its directory.
        source_root: Directory below root from which modules are imported: ``src`` or ``.``.
        modules: Its Python files, by path.
        pyproject: The parsed pyproject.toml; empty if there is none.
        requirements: Normalised names of the declared dependencies.
        files: Names of the files in root.
    """

    root: Path
    source_root: str
    modules: tuple[Module, ...]
    pyproject: Mapping[str, Any] = field(default_factory=dict)
    requirements: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    @property
    def imports(self) -> frozenset[str]:
        """All packages that any module imports."""
        return frozenset().union(*(module.imports for module in self.modules))

    def text(self, name: str) -> str:
        """Returns the text of a file in root; empty if there is none."""
        path = self.root / name
        return path.read_text(errors="replace") if path.is_file() else ""


def read_project(root: Path) -> Project:
    """Reads a project.

    Raises:
        ProjectError: The directory does not exist or has no Python file, or its pyproject.toml
            cannot be parsed.
    """
    if not root.is_dir():
        raise ProjectError(f"{root} is not a directory")
    source_root = "src" if any((root / "src").glob("**/*.py")) else "."
    modules = tuple(_modules(root, root / source_root))
    if not modules:
        raise ProjectError(f"{root} has no Python file; specify the directory of the project")
    pyproject = _pyproject(root)
    return Project(
        root=root,
        source_root=source_root,
        modules=modules,
        pyproject=pyproject,
        requirements=frozenset(_requirements(root, pyproject)),
        files=frozenset(path.name for path in root.iterdir()),
    )


def called_name(call: ast.Call) -> str:
    """Returns the last name of a called function: ``FastAPI`` of ``fastapi.FastAPI()``."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _modules(root: Path, source: Path) -> Iterator[Module]:
    paths = (path for path in sorted(source.rglob("*.py")) if _is_code(path.relative_to(source)))
    for count, path in enumerate(paths):
        if count == _MAX_FILES:
            raise ProjectError(
                f"{root} has more than {_MAX_FILES} Python files; specify the directory of one "
                "service"
            )
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        try:
            tree = ast.parse(path.read_text(), filename=str(path))
        except (SyntaxError, UnicodeDecodeError, ValueError):
            # A template, or a file for another version of Python.
            continue
        yield Module(name=name, path=str(path.relative_to(root)), tree=tree)


def _is_code(path: Path) -> bool:
    return not any(part in _IGNORED_DIRECTORIES or part.startswith(".") for part in path.parts[:-1])


def _pyproject(root: Path) -> Mapping[str, Any]:
    path = root / "pyproject.toml"
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: not valid TOML: {error}") from error


def _requirements(root: Path, pyproject: Mapping[str, Any]) -> Iterator[str]:
    lines = list(pyproject.get("project", {}).get("dependencies", ()))
    lines += pyproject.get("tool", {}).get("poetry", {}).get("dependencies", {})
    for path in sorted(root.glob("requirements*.txt")):
        lines += path.read_text(errors="replace").splitlines()
    for line in lines:
        match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", str(line).strip())
        if match:
            yield re.sub(r"[-_.]+", "-", match.group()).lower()
            if re.match(r"fastapi\[(standard|all)", str(line).replace(" ", "")):
                yield "uvicorn"
