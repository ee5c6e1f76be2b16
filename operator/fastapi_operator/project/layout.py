"""Finds the directory from which a project's modules are imported."""

import ast
from collections.abc import Iterator, Mapping, Set
from pathlib import Path, PurePosixPath

from fastapi_operator.project.source import imported_modules
from fastapi_operator.project.started import started_modules

_MAX_DEPTH = 3


def source_root(root: Path, above: Path | None, trees: Mapping[PurePosixPath, ast.Module]) -> str:
    """Returns the directory of imports, for example ``src`` or ``.``.

    The commands that start the project decide first, for example ``uvicorn app.main:app``. Next are
    the absolute imports: ``from src.models import …`` works only if ``src`` is a package of the
    project.
    """
    started = set(started_modules(root, above)) - {""}
    imported = {name for tree in trees.values() for name in imported_modules(tree)}
    known = frozenset(_module_paths(trees))

    def score(candidate: PurePosixPath) -> tuple[int, int]:
        return tuple(  # type: ignore[return-value]
            sum(candidate / name.replace(".", "/") in known for name in names)
            for names in (started, imported)
        )

    # The first of the best ones, so that the usual directory is used if there is no evidence.
    return str(max(_candidates(trees), key=score))


def _module_paths(trees: Mapping[PurePosixPath, ast.Module]) -> Iterator[PurePosixPath]:
    """Yields the path of each module and of each package, without a suffix."""
    for path in trees:
        yield path.with_suffix("")
        yield from path.parents


def _candidates(trees: Mapping[PurePosixPath, ast.Module]) -> Iterator[PurePosixPath]:
    """Yields the directories that can be on the import path, the usual one first."""
    here, source = PurePosixPath(), PurePosixPath("src")
    folders: Set[PurePosixPath] = {parent for path in trees for parent in path.parents}
    if source in folders and source / "__init__.py" not in trees:
        yield source
    yield here
    yield from sorted(
        (folder for folder in folders if 0 < len(folder.parts) <= _MAX_DEPTH),
        key=lambda folder: (len(folder.parts), folder),
    )
