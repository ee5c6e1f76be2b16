"""How a project declares and locks its dependencies."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi_operator.project.dependencies import (
    normal,
    poetry,
    private_indexes,
    requirements,
    table,
)
from fastapi_operator.project.python_version import python_version
from fastapi_operator.project.source import Project, ProjectError, read_text, read_toml


class Manager(StrEnum):
    """The program that installs the dependencies."""

    UV = "uv"
    POETRY = "poetry"
    PDM = "pdm"
    PIPENV = "pipenv"
    REQUIREMENTS = "requirements"
    PROJECT = "project"


@dataclass(frozen=True)
class Packaging:
    """The dependencies of a project.

    Attributes:
        manager: The program that installs them.
        locked: Whether a lock file has their versions.
        files: The files that the installation of the dependencies reads; empty for all of them.
        package: Whether the project itself is installed as a package.
        member: Name of the project in its uv workspace; empty if it is alone.
        python: Version of Python, for example ``3.12``.
        tool: Requirements of the manager, with the major version that wrote the lock.
        indexes: URLs of private package indexes, without credentials.
    """

    manager: Manager
    locked: bool
    files: tuple[str, ...]
    package: bool
    member: str
    python: str
    tool: tuple[str, ...]
    indexes: tuple[str, ...]


_LOCKS = {
    Manager.UV: "uv.lock",
    Manager.POETRY: "poetry.lock",
    Manager.PDM: "pdm.lock",
    Manager.PIPENV: "Pipfile.lock",
}
_REQUIREMENTS = (
    "requirements.txt",
    "requirements/prod.txt",
    "requirements/production.txt",
    "requirements/base.txt",
    "requirements/main.txt",
)
_TOOLS = {
    Manager.UV: ("uv>=0.9,<1",),
    # Its releases until 2.29 do not work with hishel 2.
    Manager.PDM: ("pdm>=2,<3", "hishel<2"),
    Manager.PIPENV: ("pipenv",),
}


def packaging(project: Project) -> Packaging:
    """Returns the packaging of a project."""
    root, context = project.root, project.context
    manager = _manager(project)
    lock = _LOCKS.get(manager, "")
    lock_text = read_text(context / lock) if lock else ""
    in_workspace = manager is Manager.UV and bool(_workspace(context))
    name = str(table(project.pyproject, "project").get("name") or "")
    return Packaging(
        manager=manager,
        locked=bool(lock) and (context / lock).is_file(),
        files=() if in_workspace or _has_local(project) else tuple(_files(project, manager)),
        package=_is_package(project, manager),
        member=name if in_workspace else "",
        python=python_version(project, lock_text),
        tool=(_poetry(lock_text),) if manager is Manager.POETRY else _TOOLS.get(manager, ()),
        indexes=tuple(private_indexes(root, context, project.pyproject, lock_text)),
    )


def workspace_of(root: Path) -> Path:
    """Returns the directory of the uv workspace that has a project as a member, or the project."""
    project = root.resolve()
    for folder in project.parents[:3]:
        members = _workspace(folder).get("members", ())
        patterns = [str(pattern) for pattern in members if pattern]
        if any(
            project in folder.glob(pattern) for pattern in patterns if not pattern.startswith("/")
        ):
            return folder
    return root


def members_used(root: Path, context: Path, needed: Iterable[str]) -> tuple[Path, ...]:
    """Returns the other members of a uv workspace that a project depends on, also indirectly."""
    if root.resolve() == context.resolve():
        return ()
    members: dict[str, Path] = {}
    for pattern in _workspace(context).get("members", ()):
        members |= {_declared_name(folder): folder for folder in sorted(context.glob(str(pattern)))}
    found: dict[Path, None] = {}
    waiting = list(needed)
    while waiting:
        folder = members.get(waiting.pop(), root)
        if folder not in found and folder.resolve() != root.resolve():
            found[folder] = None
            waiting += requirements(folder, read_toml(folder / "pyproject.toml"))
    return tuple(found)


def _declared_name(folder: Path) -> str:
    try:
        name = table(read_toml(folder / "pyproject.toml"), "project").get("name", "")
    except ProjectError:
        return ""
    return normal(str(name))


def _workspace(folder: Path) -> Mapping[str, Any]:
    try:
        pyproject = read_toml(folder / "pyproject.toml")
    except ProjectError:
        return {}
    return table(table(table(pyproject, "tool"), "uv"), "workspace")


def _manager(project: Project) -> Manager:
    tools = table(project.pyproject, "tool")
    for manager, lock in _LOCKS.items():
        if (project.context / lock).is_file():
            return manager
    if "poetry" in tools and "dependencies" not in table(project.pyproject, "project"):
        return Manager.POETRY
    if table(tools, "uv").get("sources") or table(tools, "uv").get("index"):
        return Manager.UV
    if "Pipfile" in project.files:
        return Manager.PIPENV
    if _requirements_file(project):
        return Manager.REQUIREMENTS
    return Manager.PROJECT


def _requirements_file(project: Project) -> str:
    return next((name for name in _REQUIREMENTS if (project.root / name).is_file()), "")


def _files(project: Project, manager: Manager) -> Iterator[str]:
    if manager is Manager.REQUIREMENTS:
        yield from _included(project, _requirements_file(project), depth=0)
        return
    yield "Pipfile" if manager is Manager.PIPENV else "pyproject.toml"
    lock = _LOCKS.get(manager, "")
    if lock and (project.root / lock).is_file():
        yield lock


def _included(project: Project, name: str, depth: int) -> Iterator[str]:
    """Yields a requirements file and those that it includes."""
    yield name
    for other in re.findall(
        r"(?m)^\s*(?:-r|-c|--requirement|--constraint)[ =]+(\S+)", project.text(name)
    ):
        path = str(PurePosixPath(name).parent / other)
        if depth < 4 and (project.root / path).is_file():
            yield from _included(project, path, depth + 1)


def _has_local(project: Project) -> bool:
    """Whether dependencies are installed from directories of the project."""
    sources = table(table(table(project.pyproject, "tool"), "uv"), "sources").values()
    declared = table(poetry(project.pyproject), "dependencies").values()
    if any(isinstance(value, Mapping) and "path" in value for value in (*sources, *declared)):
        return True
    text = project.text(_requirements_file(project)) if _requirements_file(project) else ""
    return bool(re.search(r"(?m)^\s*(-e|--editable|\.|file:)", text))


def _is_package(project: Project, manager: Manager) -> bool:
    """Whether the project itself is a package that can be built."""
    tools = table(project.pyproject, "tool")
    if manager in (Manager.REQUIREMENTS, Manager.PIPENV):
        return False
    if manager is Manager.PROJECT:
        return "dependencies" not in table(project.pyproject, "project")
    if (
        table(tools, "uv").get("package") is False
        or table(tools, "pdm").get("distribution") is False
    ):
        return False
    if poetry(project.pyproject).get("package-mode") is False:
        return False
    return "build-system" in project.pyproject and _has_package_directory(project)


def _has_package_directory(project: Project) -> bool:
    """Whether the build finds the code: by the project's name, or by its settings."""
    tools = table(project.pyproject, "tool")
    if poetry(project.pyproject).get("packages") or table(tools, "hatch").get("build"):
        return True
    if table(table(tools, "uv"), "build-backend").get("module-name") or "setuptools" in tools:
        return True
    name = table(project.pyproject, "project").get("name") or poetry(project.pyproject).get("name")
    module = re.sub(r"[-.]+", "_", str(name)).lower()
    return any(
        (project.root / folder / module / "__init__.py").is_file() for folder in (".", "src")
    )


def _poetry(lock_text: str) -> str:
    written = re.search(r"generated by Poetry ([0-9]+)", lock_text)
    is_old = lock_text and (written is None or written.group(1) == "1")
    return "poetry>=1.8,<2" if is_old else "poetry>=2,<3"
