"""The files that ``deploy`` works on: those of the project, or those that init writes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi_operator.api.parse import load_services
from fastapi_operator.cli import init, inputs
from fastapi_operator.delivery import source
from fastapi_operator.project import draft
from fastapi_operator.project.monorepo import project_directory
from fastapi_operator.project.needs import Needs, find_needs
from fastapi_operator.project.reading import read_project
from fastapi_operator.project.source import Project, ProjectError, read_text

_LOGIN = Path("~/.netrc")


@dataclass(frozen=True)
class Found:
    """The files of one service.

    Attributes:
        body: The service.
        file: Its file.
        dockerfile: Its Dockerfile.
        context: The directory of the build.
        login: The file with the logins of package indexes, if the Dockerfile reads it.
        values: Files that may have the values of its variables: each ``.env``.
        unwritten: Texts of files that a dry run does not write.
    """

    body: dict[str, Any]
    file: Path
    dockerfile: Path = Path()
    context: Path = Path()
    login: Path | None = None
    values: tuple[Path, ...] = ()
    unwritten: Mapping[Path, str] = field(default_factory=dict)


def find(
    directory: Path,
    file: Path | None,
    dockerfile: Path | None,
    *,
    builds: bool,
    writes: bool,
    profile: str = "",
) -> Found:
    """Returns the files of a project; missing ones are written, or only described.

    Args:
        directory: The directory that was given.
        file: The file of the service; None to find it.
        dockerfile: The Dockerfile; None to find it.
        builds: Whether the image is built.
        writes: Whether missing files are written.
        profile: The profile of the service; empty for that of its file.
    """
    try:
        root = project_directory(directory)
    except ProjectError as error:
        if file is None:
            inputs.fail(str(error).replace("operator init", "operator deploy"))
        root = directory
    chosen = file or _service_file(root)
    read = _Reading(root)
    texts: dict[Path, str] = {}
    if chosen is None:
        chosen = root / init.FILE
        texts[chosen] = init.service_text(*read.project(), init.FILE, profile)
    if builds and dockerfile is None:
        dockerfile = read.dockerfile()
        if dockerfile is None:
            project, needs = read.project()
            made = draft.image_files(project, needs)
            texts |= {root / item.name: item.text for item in made}
            dockerfile = root / made[0].name
    body = _service(texts[chosen] if chosen in texts else _read(chosen), chosen)
    if profile:
        body["spec"] = {**(body.get("spec") or {}), "profile": profile}
    text = ""
    if dockerfile is not None:
        text = texts.get(dockerfile) or read_text(dockerfile)
    if writes:
        for path, content in texts.items():
            init.write(path, content, force=False)
    return Found(
        body=body,
        file=chosen,
        dockerfile=dockerfile or Path(),
        context=source.build_context(text, read.contexts(dockerfile)) if dockerfile else Path(),
        login=_LOGIN.expanduser() if "id=netrc" in text and _LOGIN.expanduser().exists() else None,
        values=tuple(_values(root, directory, *root.resolve().parents[:1])),
        unwritten={} if writes else texts,
    )


def _values(*folders: Path) -> Iterator[Path]:
    """Yields the ``.env`` of a project and of its repository, the nearest first."""
    paths = (folder / ".env" for folder in dict.fromkeys(folders))
    yield from (path for path in paths if path.is_file())


@dataclass
class _Reading:
    """Reads a project once, and only if it is needed."""

    root: Path
    _read: tuple[Project, Needs] | None = None

    def project(self) -> tuple[Project, Needs]:
        """Returns the project; the command ends if it is none."""
        try:
            return self._project()
        except ProjectError as error:
            inputs.fail(str(error))

    def dockerfile(self) -> Path | None:
        """Returns the Dockerfile of the project, also if its code is not understood."""
        try:
            image = self._project()[1].image
        except ProjectError:
            return source.dockerfile(self.root)
        return self.root / image.path if image else None

    def contexts(self, dockerfile: Path) -> Iterator[Path]:
        """Yields the directories from which a Dockerfile may be built, the usual one first.

        In a workspace that is its root, where the lock file is.
        """
        project = self._read[0] if self._read is not None else None
        if project is not None:
            yield project.context
        yield self.root
        if project is not None and project.above is not None:
            yield project.above
        yield dockerfile.parent

    def _project(self) -> tuple[Project, Needs]:
        if self._read is None:
            project = read_project(self.root)
            self._read = project, find_needs(project)
        return self._read


def _service_file(root: Path) -> Path | None:
    files = source.service_files(root)
    if len(files) > 1:
        names = ", ".join(str(path) for path in files)
        inputs.fail(f"several files have a FastAPIService: {names}; choose one with --file")
    return files[0] if files else None


def _service(text: str, file: Path) -> dict[str, Any]:
    try:
        services = load_services(text)
    except ValueError as error:
        inputs.fail(f"{file}: {error}")
    if len(services) > 1:
        names = ", ".join(inputs.name_of(body) for body in services)
        inputs.fail(f"{file} has several services: {names}; give each a file of its own")
    return services[0]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        inputs.fail(f"{path}: {error.strerror}")
    except UnicodeDecodeError:
        inputs.fail(f"{path}: not UTF-8 text; save it as UTF-8")
