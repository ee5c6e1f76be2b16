"""The processes that a project's files start: images, Procfile, compose files and scripts."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from fastapi_operator.project.image import dockerfiles
from fastapi_operator.project.processes import Process, in_command, in_shell
from fastapi_operator.project.source import read_text

_COMPOSE = ("compose.yml", "compose.yaml", "docker-compose.yml", "docker-compose.yaml")


def started(root: Path, above: Path | None = None) -> Iterator[Process]:
    """Yields the processes that the project's files start, those of its image first.

    Args:
        root: Directory of the project.
        above: Directory of a repository with several projects, whose compose file starts it too.
    """
    for file in dockerfiles(root, above):
        yield from file.processes
    for line in read_text(root / "Procfile").splitlines():
        _, separator, command = line.partition(":")
        if separator:
            yield from in_shell(command, "Procfile", {})
    yield from _composed(root, "")
    if above is not None and above != root:
        yield from _composed(above, root.name)
    for path in sorted({*root.glob("*.sh"), *root.glob("scripts/*"), *root.glob("bin/*")}):
        if path.is_file() and path.suffix in ("", ".sh"):
            yield from in_shell(read_text(path), str(path.relative_to(root)), {})


def started_modules(root: Path, above: Path | None) -> Iterator[str]:
    """Yields the names of the modules that the project's files start."""
    for process in started(root, above):
        if process.target:
            yield process.target[0]
        named = process.option("-A", "--app") if process.program == "celery" else ""
        yield named.partition(":")[0]
        if process.program == "arq":
            yield from (word.rpartition(".")[0] for word in process.arguments)


def _composed(folder: Path, built: str) -> Iterator[Process]:
    """Yields the processes of a compose file.

    Args:
        folder: Its directory.
        built: Name that the build of a service must have in it.
    """
    for name in _COMPOSE:
        try:
            body = yaml.safe_load(read_text(folder / name))
        except yaml.YAMLError:
            continue
        services = body.get("services") if isinstance(body, dict) else None
        for service in services.values() if isinstance(services, dict) else ():
            if isinstance(service, dict) and _is_built(service, built):
                yield from in_command(service.get("command"), name, {})


def _is_built(service: dict[str, object], built: str) -> bool:
    pattern = rf"\b{re.escape(built)}\b"
    return not built or bool(re.search(pattern, f"{service.get('build')} {service.get('image')}"))
