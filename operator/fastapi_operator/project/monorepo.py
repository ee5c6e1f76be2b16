"""Finds the project with the application in a repository with several directories."""

from collections.abc import Iterator
from pathlib import Path

from fastapi_operator.project.dependencies import requirements
from fastapi_operator.project.source import ProjectError, read_toml

_MARKERS = ("pyproject.toml", "requirements.txt", "Pipfile", "setup.py")
_IGNORED = frozenset({"node_modules", "venv", "env", "tests", "docs", "examples"})


def project_directory(root: Path) -> Path:
    """Returns the directory itself, or the only one in it that depends on FastAPI.

    Raises:
        ProjectError: Several directories depend on FastAPI.
    """
    if not root.is_dir() or _depends(root):
        return root
    found = [folder for folder in _folders(root) if _depends(folder)]
    if len(found) > 1:
        names = ", ".join(str(folder.relative_to(root)) for folder in found[:8])
        raise ProjectError(
            f"{root} has several projects with FastAPI: {names}; choose one, for example: "
            f"fastapi-operator init {found[0]}"
        )
    return found[0] if found else root


def _folders(root: Path) -> Iterator[Path]:
    for path in sorted((*root.glob("*/"), *root.glob("*/*/"))):
        parts = path.relative_to(root).parts
        if path.is_dir() and not any(part in _IGNORED or part.startswith(".") for part in parts):
            yield path


def _depends(folder: Path) -> bool:
    if not any((folder / name).is_file() for name in _MARKERS):
        return False
    try:
        return "fastapi" in requirements(folder, read_toml(folder / "pyproject.toml"))
    except ProjectError:
        return True  # its own error is better than none
