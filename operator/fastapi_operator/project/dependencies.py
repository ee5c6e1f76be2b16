"""The packages that a project declares, and the indexes that they come from."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi_operator.project.source import read_text, read_toml

# The hosts of the public index, its old one and its files.
_PUBLIC_INDEX = re.compile(r"(?:pypi(?:\.python)?|files\.pythonhosted)\.org")
_OF_DEVELOPMENT = re.compile(r"dev|test|doc|lint")
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
# What an extra of a package installs.
_EXTRAS = {
    ("fastapi", "standard"): ("uvicorn", "websockets"),
    ("fastapi", "all"): ("uvicorn", "websockets"),
    ("uvicorn", "standard"): ("websockets",),
    ("databases", "postgresql"): ("asyncpg",),
    ("databases", "asyncpg"): ("asyncpg",),
    ("databases", "postgresql+asyncpg"): ("asyncpg",),
    ("tortoise-orm", "asyncpg"): ("asyncpg",),
    ("tortoise-orm", "psycopg"): ("psycopg",),
    ("sqlalchemy", "postgresql"): ("psycopg2",),
    ("sqlalchemy", "postgresql-asyncpg"): ("asyncpg",),
    ("sqlalchemy", "postgresql-psycopg"): ("psycopg",),
    ("piccolo", "postgres"): ("asyncpg",),
}


def requirements(root: Path, pyproject: Mapping[str, Any]) -> Iterator[str]:
    """Yields the normalised names of the declared dependencies, also of their extras."""
    for line in _declared(root, pyproject):
        match = _NAME.match(line.strip())
        if match:
            name = normal(match.group(1))
            yield name
            for extra in (match.group(2) or "").split(","):
                yield from _EXTRAS.get((name, normal(extra)), ())


def _declared(root: Path, pyproject: Mapping[str, Any]) -> Iterator[str]:
    yield from map(str, table(pyproject, "project").get("dependencies", ()))
    pipfile = read_toml(root / "Pipfile")
    for declared in (table(poetry(pyproject), "dependencies"), table(pipfile, "packages")):
        for name, value in declared.items():
            extras = value.get("extras", ()) if isinstance(value, Mapping) else ()
            yield f"{name}[{','.join(map(str, extras))}]"
    for path in _requirements_files(root):
        yield from read_text(path).splitlines()
    setup = re.search(r"install_requires\s*=\s*\[(.*?)\]", read_text(root / "setup.py"), re.DOTALL)
    yield from re.findall(r"[\"']([^\"']+)[\"']", setup.group(1)) if setup else ()


def _requirements_files(root: Path) -> list[Path]:
    paths = {*root.glob("requirements*.txt"), *root.glob("requirements/*.txt")}
    return sorted(path for path in paths if not _OF_DEVELOPMENT.search(path.name))


def normal(name: str) -> str:
    """Returns the name of a package as indexes compare it, for example ``acme-core``."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def private_indexes(
    root: Path, context: Path, pyproject: Mapping[str, Any], lock_text: str
) -> Iterator[str]:
    """Yields the URL of each private index once, without a login.

    Args:
        root: Directory of the project.
        context: Directory of its workspace.
        pyproject: Its pyproject.toml.
        lock_text: Its lock file.
    """
    urls = [*_declared_indexes(root, context, pyproject)]
    urls += re.findall(r'registry = "([^"]+)"', lock_text)
    urls += re.findall(r'(?m)^type = "legacy"\nurl = "([^"]+)"', lock_text)
    seen: set[str] = set()
    for url in urls:
        plain = re.sub(r"//[^/@]*@", "//", str(url or ""))
        host = re.sub(r"^\w+://", "", plain).partition("/")[0]
        if plain.startswith("http") and not _PUBLIC_INDEX.fullmatch(host) and plain not in seen:
            seen.add(plain)
            yield plain


def _declared_indexes(root: Path, context: Path, pyproject: Mapping[str, Any]) -> Iterator[object]:
    tools = table(pyproject, "tool")
    workspace = table(read_toml(context / "pyproject.toml"), "tool")
    for uv in (table(tools, "uv"), table(workspace, "uv")):
        yield from (index.get("url") for index in _tables(uv, "index"))
        yield uv.get("index-url")
        yield from uv.get("extra-index-url", ())
    for parent in (poetry(pyproject), table(tools, "pdm"), read_toml(root / "Pipfile")):
        yield from (source.get("url") for source in _tables(parent, "source"))
    for path in _requirements_files(root):
        pattern = r"(?m)^\s*(?:-i|--index-url|--extra-index-url)[ =]+(\S+)"
        yield from re.findall(pattern, read_text(path))


def poetry(pyproject: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the settings of poetry."""
    return table(table(pyproject, "tool"), "poetry")


def table(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Returns a table within another one; empty if it is not a table."""
    value = parent.get(name)
    return value if isinstance(value, Mapping) else {}


def _tables(parent: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    value = parent.get(name)
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, Mapping):
            yield entry
