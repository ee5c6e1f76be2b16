"""A project: its modules, dependencies and files."""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi_operator.project import syntax


class ProjectError(ValueError):
    """The directory is not a readable project."""


@dataclass(frozen=True)
class Module:
    """One Python file.

    Attributes:
        name: Its import name, for example ``shop.main``.
        path: Its path in the project.
        tree: Its syntax tree.
        aside: Whether it runs beside the service, for example as a migration.
    """

    name: str
    path: str
    tree: ast.Module
    aside: bool = False

    @cached_property
    def packages(self) -> frozenset[str]:
        """Top-level names of the packages that the module imports."""
        return frozenset(name.partition(".")[0] for name in imported_modules(self.tree))

    @cached_property
    def imported(self) -> Mapping[str, tuple[str, str]]:
        """Imported names: the module of each, and its name there; empty for the module itself."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for name in node.names:
                    found[name.asname or name.name] = (name.name, "")
            elif isinstance(node, ast.ImportFrom):
                origin = self._absolute(node)
                for name in node.names:
                    found[name.asname or name.name] = (origin, name.name)
        return found

    @cached_property
    def definitions(self) -> Mapping[str, ast.AST]:
        """Classes, functions and values that are defined at import, by name; of each the last."""
        return dict(self.all_definitions())

    def all_definitions(self) -> Iterator[tuple[str, ast.AST]]:
        """Yields each definition, also those that a later one replaces, for example in a test."""
        for node in syntax.statements(self.tree.body):
            assigned = syntax.assignment(node)
            if assigned:
                yield assigned
            elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, node

    def assigned_calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Yields each top-level ``name = call(…)``, in order."""
        for name, value in self.definitions.items():
            if isinstance(value, ast.Call):
                yield name, value

    @cached_property
    def inner_calls(self) -> Mapping[str, tuple[ast.Call, ...]]:
        """The values of each ``name = call(…)`` in a function, for example in a factory."""
        found: dict[str, tuple[ast.Call, ...]] = {}
        for node in ast.walk(self.tree):
            assigned = syntax.assignment(node) if isinstance(node, ast.stmt) else None
            if (
                assigned
                and isinstance(assigned[1], ast.Call)
                and assigned[0] not in self.definitions
            ):
                found[assigned[0]] = (*found.get(assigned[0], ()), assigned[1])
        return found

    def _absolute(self, node: ast.ImportFrom) -> str:
        """Returns the absolute name of the module of a relative import."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".") if self.name else []
        is_package = PurePosixPath(self.path).name == "__init__.py"
        kept = parts[: len(parts) - node.level + is_package]
        return ".".join([*kept, *([node.module] if node.module else [])])


@dataclass(frozen=True)
class Definition:
    """A definition, and the module in which it is."""

    module: Module
    name: str
    node: ast.AST


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
        context: Directory from which its image is built: that of the uv workspace, or root.
        above: Directory of the repository that was given, if root is one project of it.
    """

    root: Path
    source_root: str
    modules: tuple[Module, ...]
    pyproject: Mapping[str, Any] = field(default_factory=dict)
    requirements: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    context: Path = Path()
    above: Path | None = None

    @cached_property
    def packages(self) -> frozenset[str]:
        """All packages that any module imports."""
        return frozenset().union(*(module.packages for module in self.modules))

    @cached_property
    def code(self) -> tuple[Module, ...]:
        """The modules of the service itself."""
        return tuple(module for module in self.modules if not module.aside)

    @cached_property
    def _by_name(self) -> Mapping[str, Module]:
        return {module.name: module for module in self.modules}

    def module(self, name: str) -> Module | None:
        """Returns a module by its import name."""
        return self._by_name.get(name)

    def uses(self, *packages: str) -> bool:
        """Whether one of the packages is imported or is a declared dependency."""
        return any(
            package.replace("-", "_") in self.packages
            or package.replace("_", "-") in self.requirements
            for package in packages
        )

    def find(self, module: Module, node: ast.expr | str) -> Definition | None:
        """Returns the definition of a name that a module uses, also if it is imported."""
        name = node if isinstance(node, str) else syntax.dotted(node)
        for _ in range(8):
            if name in module.definitions:
                return Definition(module, name, module.definitions[name])
            first, _, rest = name.partition(".")
            if first not in module.imported:
                return None
            origin, attribute = module.imported[first]
            whole = ".".join(part for part in (origin, attribute, rest) if part)
            found = self._split(whole)
            if found is None or found == (module, name):
                return None
            module, name = found
        return None

    def locate(self, dotted: str) -> Definition | None:
        """Returns the definition of a whole name, for example ``shop.jobs.Worker``."""
        found = self._split(dotted.replace(":", "."))
        return self.find(*found) if found else None

    def _split(self, dotted: str) -> tuple[Module, str] | None:
        """Splits a dotted name after the longest prefix that is a module."""
        parts = dotted.split(".")
        for end in range(len(parts) - 1, 0, -1):
            module = self.module(".".join(parts[:end]))
            if module is not None:
                return module, ".".join(parts[end:])
        return None

    def text(self, name: str) -> str:
        """Returns the text of a file in root; empty if there is none."""
        return read_text(self.root / name)


def read_text(path: Path) -> str:
    """Returns the text of a file; empty if there is none."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def read_toml(path: Path) -> dict[str, Any]:
    """Returns the content of a TOML file; empty if there is none.

    Raises:
        ProjectError: It is not valid TOML.
    """
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: not valid TOML: {error}") from error


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """Yields the names of the modules that a module imports, except relative ones."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
