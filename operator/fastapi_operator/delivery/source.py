"""Finds the service and the Dockerfile of a project that is deployed."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastapi_operator import naming
from fastapi_operator.delivery import stages
from fastapi_operator.project.image import instructions
from fastapi_operator.project.source import read_text

# Where projects keep the files of their deployment.
_FOLDERS = (".", "deploy", "k8s", "kubernetes", "manifests")
_DOCKERFILES = ("Dockerfile", "Containerfile")
_OF_KIND = re.compile(rf"(?m)^\s*[\"']?kind[\"']?:\s*[\"']?{naming.KIND}[\"']?\s*,?\s*(#.*)?$")


def service_files(root: Path) -> list[Path]:
    """Returns the files of a project with a FastAPIService."""
    return [
        path
        for folder in _FOLDERS
        for path in sorted((root / folder).glob("*.y*ml"))
        if _OF_KIND.search(read_text(path))
    ]


def dockerfile(root: Path) -> Path | None:
    """Returns the Dockerfile in a directory, under one of its usual names."""
    return next((root / name for name in _DOCKERFILES if (root / name).is_file()), None)


def build_context(text: str, candidates: Iterable[Path]) -> Path:
    """Returns the directory of a build: the first that has all files that the Dockerfile copies.

    Args:
        text: The Dockerfile.
        candidates: Directories, the usual one first; it is used if none has all files.
    """
    sources = list(copied(text))
    folders = list(dict.fromkeys(folder.resolve() for folder in candidates))
    return next(
        (folder for folder in folders if all(_exists(folder, source) for source in sources)),
        folders[0],
    )


def copied(text: str) -> Iterator[str]:
    """Yields the sources that a Dockerfile copies from its build, for example ``src/``."""
    for instruction, argument in instructions(text):
        words = stages.words_of(argument) if instruction in ("COPY", "ADD") else []
        if not any(word.startswith("--from") for word in words):
            # Not names that an argument or a pattern decides.
            yield from (name for name in stages.sources(words) if not re.search(r"[$*?[]", name))


def _exists(folder: Path, source: str) -> bool:
    return (folder / source.lstrip("/")).exists()
