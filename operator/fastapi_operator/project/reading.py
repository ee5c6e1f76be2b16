"""Reads a project's files without importing or running them."""

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fastapi_operator.project import dependencies, layout, packaging
from fastapi_operator.project.monorepo import project_directory
from fastapi_operator.project.source import Module, Project, ProjectError, read_toml

# Directories without code of the service.
_IGNORED_DIRECTORIES = frozenset(
    {"tests", "test", "e2e", "docs", "examples", "notebooks", "frontend", "node_modules"}
    | {"build", "dist", "site-packages", "venv", "env", "__pycache__"}
)
# Directories whose code runs beside the service, for example in a migration.
_ASIDE = frozenset({"scripts", "migrations", "alembic", "versions"})
_TEST_FILE = re.compile(r"^(test_.*|.*_test|conftest|tests)$")
_MAX_FILES = 2000


def read_project(given: Path) -> Project:
    """Reads a project: the directory itself, or the only project in it with FastAPI.

    Raises:
        ProjectError: The directory does not exist or has no Python file, or its pyproject.toml
            cannot be parsed.
    """
    root = project_directory(given)
    if not root.is_dir():
        raise ProjectError(f"{root} is not a directory")
    trees = dict(_trees(root))
    if not trees:
        raise ProjectError(f"{root} has no Python file; specify the directory of the project")
    pyproject = read_toml(root / "pyproject.toml")
    above = given if given != root else _repository(root)
    source_root = layout.source_root(root, above, trees)
    context = packaging.workspace_of(root)
    needed = frozenset(dependencies.requirements(root, pyproject))
    members = packaging.members_used(root, context, needed)
    own = tuple(_modules(trees, source_root))
    return Project(
        root=root,
        source_root=source_root,
        modules=(*own, *_of_members(root, members, {module.name for module in own})),
        pyproject=pyproject,
        requirements=needed.union(*map(_declared, members)),
        files=frozenset(path.name for path in root.iterdir()),
        context=context,
        above=above,
    )


def _declared(folder: Path) -> frozenset[str]:
    return frozenset(dependencies.requirements(folder, read_toml(folder / "pyproject.toml")))


def _of_members(root: Path, members: Iterable[Path], own: Set[str]) -> Iterator[Module]:
    """Yields the modules of other members of a workspace, which the image has too."""
    for folder in members:
        trees = dict(_trees(folder))
        if trees:
            place = os.path.relpath(folder.resolve(), root.resolve())
            for module in _modules(trees, layout.source_root(folder, None, trees)):
                if module.name not in own:
                    yield replace(module, path=f"{place}/{module.path}")


def _repository(root: Path) -> Path | None:
    """Returns the directory above a project that is part of a repository."""
    above = root.resolve().parent
    return above if (above / ".git").exists() and not (root / ".git").exists() else None


def _trees(root: Path) -> Iterator[tuple[PurePosixPath, ast.Module]]:
    for count, path in enumerate(_paths(root)):
        if count == _MAX_FILES:
            raise ProjectError(
                f"{root} has more than {_MAX_FILES} Python files; specify the directory of one "
                "service"
            )
        try:
            tree = ast.parse(path.read_text(), filename=str(path))
        except (SyntaxError, UnicodeDecodeError, ValueError, OSError):
            # A template, or a file for another version of Python.
            continue
        yield PurePosixPath(path.relative_to(root)), tree


def _paths(root: Path) -> Iterator[Path]:
    """Yields the Python files, without those of tests and of installed packages."""
    for folder, directories, files in os.walk(root):
        directories[:] = sorted(
            name
            for name in directories
            if name not in _IGNORED_DIRECTORIES and not name.startswith(".")
        )
        for name in sorted(files):
            path = Path(folder, name)
            if path.suffix == ".py" and path.is_file() and not _TEST_FILE.match(path.stem):
                yield path


def _modules(trees: Mapping[PurePosixPath, ast.Module], source_root: str) -> Iterator[Module]:
    for path, tree in trees.items():
        within = path.is_relative_to(source_root)
        parts = path.relative_to(source_root if within else ".").with_suffix("").parts
        yield Module(
            name=".".join(parts[:-1] if parts[-1] == "__init__" else parts),
            path=str(path),
            tree=tree,
            aside=not within or any(part in _ASIDE for part in parts[:-1]),
        )
