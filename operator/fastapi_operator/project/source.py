"""A project as its files tell it: modules, dependencies, settings; none is imported or run."""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

# Directories that hold no code of the service.
_ELSEWHERE = frozenset(
    {"tests", "test", "docs", "scripts", "examples", "migrations", "alembic", "node_modules"}
    | {"build", "dist", "site-packages", "venv", "env", "__pycache__"}
)
_FILES_MAX = 2000


class ProjectError(ValueError):
    """The directory is no project that can be read."""


@dataclass(frozen=True)
class Module:
    """One Python file.

    Attributes:
        name: Its name for an import, such as ``shop.main``.
        path: Its path below the project.
        tree: Its syntax tree.
    """

    name: str
    path: str
    tree: ast.Module

    @cached_property
    def imports(self) -> frozenset[str]:
        """Top-level names of the packages that it imports."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
        return frozenset(found)

    def assigned_calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Top-level ``name = call(…)``, in order."""
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
    """What was read of a project.

    Attributes:
        root: Its directory.
        source_root: Where imports begin, below root: ``src`` or ``.``.
        modules: Its Python files, by path.
        pyproject: The parsed pyproject.toml; empty where there is none.
        requirements: Normalised names of what it depends on, as far as files say.
        files: Names of the files in the root.
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
        """A file of the root; empty where there is none."""
        path = self.root / name
        return path.read_text(errors="replace") if path.is_file() else ""


def read_project(root: Path) -> Project:
    """Reads a project.

    Raises:
        ProjectError: The directory does not exist, holds no Python file, or its pyproject.toml
            cannot be parsed.
    """
    if not root.is_dir():
        raise ProjectError(f"{root} is not a directory")
    source_root = "src" if any((root / "src").glob("**/*.py")) else "."
    modules = tuple(_modules(root, root / source_root))
    if not modules:
        raise ProjectError(f"{root} holds no Python file; name the directory of the project")
    pyproject = _pyproject(root)
    return Project(
        root=root,
        source_root=source_root,
        modules=modules,
        pyproject=pyproject,
        requirements=frozenset(_requirements(root, pyproject)),
        files=frozenset(path.name for path in root.iterdir()),
    )


def called(call: ast.Call) -> str:
    """The last name of what a call calls: ``FastAPI`` of ``fastapi.FastAPI()``."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _modules(root: Path, source: Path) -> Iterator[Module]:
    paths = (path for path in sorted(source.rglob("*.py")) if _is_code(path.relative_to(source)))
    for count, path in enumerate(paths):
        if count == _FILES_MAX:
            raise ProjectError(
                f"{root} holds more than {_FILES_MAX} Python files; name one service's directory"
            )
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        try:
            tree = ast.parse(path.read_text(), filename=str(path))
        except (SyntaxError, UnicodeDecodeError, ValueError):
            # A template or a file of another Python; it tells nothing.
            continue
        yield Module(name=name, path=str(path.relative_to(root)), tree=tree)


def _is_code(path: Path) -> bool:
    return not any(part in _ELSEWHERE or part.startswith(".") for part in path.parts[:-1])


def _pyproject(root: Path) -> Mapping[str, Any]:
    path = root / "pyproject.toml"
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: not TOML: {error}") from error


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
