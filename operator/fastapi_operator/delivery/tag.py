"""The tag of an image: the state of its sources."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_LONGEST = 128
_HASH_LENGTH = 10
_VALID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_CHUNK_BYTES = 2**20


def is_valid(tag: str) -> bool:
    """Whether a registry accepts a tag."""
    return bool(_VALID.fullmatch(tag))


def of_sources(described: str, content: str) -> str:
    """Returns the tag of sources.

    Args:
        described: The commit as ``git describe`` names it; empty outside of a repository.
        content: A hash of the content; empty if that is the commit's.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", described).lstrip(".-")
    if not content:
        return name[:_LONGEST]
    return f"{name[: _LONGEST - len(content) - 1]}-{content}" if name else content


def content_hash(root: Path, paths: Iterable[str], added: Mapping[str, str]) -> str:
    """Returns a hash of the files of a build, the same on every machine.

    Args:
        root: The directory of the build.
        paths: The files, relative to it.
        added: Texts of further files by name, which need not exist yet.
    """
    digest = hashlib.sha256()
    for name in sorted({*paths, *added}):
        path = root / name
        digest.update(f"{name}\0".encode())
        if name in added:
            digest.update(b"False\0" + added[name].encode())
        elif path.is_symlink():
            digest.update(str(path.readlink()).encode())
        else:
            is_executable = bool(path.stat().st_mode & 0o100)
            digest.update(f"{is_executable}\0".encode())
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
        digest.update(b"\0")
    return digest.hexdigest()[:_HASH_LENGTH]
