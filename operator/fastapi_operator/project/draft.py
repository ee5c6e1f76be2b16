"""Renders the files that ``init`` writes."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from fastapi_operator.parts import Part
from fastapi_operator.project.needs import Needs
from fastapi_operator.project.packaging import Manager, Packaging
from fastapi_operator.project.source import Project
from fastapi_operator.resources.templates import render

# The registry in the name of an image that a person has not chosen yet.
EXAMPLE_REGISTRY = "registry.example.com"
# A text that YAML reads as itself. Words that YAML reads as another type are quoted.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*")
_TYPED = re.compile(r"(?i)(y|n|yes|no|on|off|true|false|null)")
_DIRECT_CONNECTIONS = 10
# Tortoise does not know the scheme postgresql://.
_TORTOISE_URL = (
    "postgres://$(DATABASE_USERNAME):$(DATABASE_PASSWORD)@$(DATABASE_HOST):$(DATABASE_PORT)"
    "/$(DATABASE_NAME)"
)
_OWN_IGNORE = "Dockerfile.dockerignore"
_EXCLUDES_SECRETS = re.compile(r"(?m)^(\*\*/|/)?\.env\*?[ \t]*$")
# Packages that are compiled, or that load a library: what the builder and the image need.
_COMPILED = {"psycopg2": ("gcc libc6-dev libpq-dev", "libpq5")}


@dataclass(frozen=True)
class File:
    """A file beside the service, relative to the project."""

    name: str
    text: str


def service(needs: Needs, notes: Iterable[str], file: str, profile: str = "") -> str:
    """Renders the service as YAML, with a comment for each guess.

    Args:
        needs: Needs of the project.
        notes: What is left to a person.
        file: Name of the file, for the commands in the comments.
        profile: Its profile; empty for the default one.
    """
    return render(
        "init-service.yaml.j2",
        needs=needs,
        registry=EXAMPLE_REGISTRY,
        notes=[_comment(note) for note in notes],
        file=file,
        profile=profile,
        connections=_connections(needs),
        overrides=_overrides(needs),
        owned=[
            name
            for name, value in needs.names.stores.get("database", {}).items()
            if value == "DirectUrl"
        ],
        yaml=yaml_text,
        command=lambda words: json.dumps(list(words), ensure_ascii=False),
    )


def image_files(project: Project, needs: Needs) -> tuple[File, ...]:
    """Renders a Dockerfile and its .dockerignore for a project without one."""
    files = [File("Dockerfile", _dockerfile(project, needs))]
    name, present = ".dockerignore", project.text(".dockerignore")
    if project.context != project.root:
        name, present = _OWN_IGNORE, ""
    elif name in project.files and not _EXCLUDES_SECRETS.search(present):
        # Builders read the file beside the Dockerfile in place of the other one.
        name = _OWN_IGNORE
    if name not in project.files:
        files.append(File(name, render("init-dockerignore.j2", present=present)))
    return tuple(files)


def build_command(project: Project, needs: Needs) -> str:
    """Returns the command that builds the image, run in the directory of the build."""
    image = f"{EXAMPLE_REGISTRY}/{needs.name.value}:{needs.version.value}"
    secret = " --secret id=netrc,src=$HOME/.netrc" if needs.packaging.indexes else ""
    below = _below(project)
    file = f" -f {below}Dockerfile" if below else ""
    return f"docker build{secret}{file} -t {image} ."


def yaml_text(value: str) -> str:
    """Formats a text for YAML, in quotes only where it needs them."""
    plain = _PLAIN.fullmatch(value) and not _TYPED.fullmatch(value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def _connections(needs: Needs) -> dict[str, dict[str, Any]]:
    """Returns the sections of ``connections``, each with its fields."""
    found: dict[str, dict[str, Any]] = {}
    needed = {"database": needs.database, "redis": needs.redis, "queue": needs.queue}
    for store in (store for store, need in needed.items() if need is not None):
        database = needs.database if store == "database" else None
        is_direct = database and (database.direct or needs.names.reads(store, "DirectUrl"))
        is_tortoise = database is not None and database.is_tortoise
        names = needs.names.stores.get(store, {})
        fields = {
            "driver": database.driver if database and _reads_url(needs) else "",
            "direct": _DIRECT_CONNECTIONS if is_direct else 0,
            "user": "Default" if not database and needs.names.is_default_user(store) else "",
            "env": {
                name: value for name, value in names.items() if not (is_tortoise and value == "Url")
            },
        }
        if any(fields.values()):
            found[store] = fields
    return found


def _reads_url(needs: Needs) -> bool:
    mapped = needs.names.stores.get("database", {}).values()
    return "Url" in mapped or "DATABASE_URL" in needs.names.contract


def _overrides(needs: Needs) -> dict[str, str]:
    """Returns variables with the value of another one."""
    overrides = dict(needs.names.overrides)
    if needs.database and needs.database.is_tortoise:
        mapped = needs.names.stores.get("database", {})
        urls = [name for name, value in mapped.items() if value == "Url"]
        urls += {"DATABASE_URL"} & needs.names.contract
        overrides |= dict.fromkeys(urls, _TORTOISE_URL)
    return overrides


def _dockerfile(project: Project, needs: Needs) -> str:
    """Renders a Dockerfile that installs what the lock file has."""
    packaging = needs.packaging
    port = needs.port.value if needs.port else Part.APP.port
    target = needs.application.target.value
    server = ["granian", "--interface", "asgi"] if needs.engine == "Granian" else ["uvicorn"]
    command = [*server, target, "--host", "0.0.0.0", "--port", str(port)]  # noqa: S104
    below = _below(project)
    source = "" if project.source_root == "." else f"/{project.source_root}"
    compiled = [needed for name, needed in _COMPILED.items() if name in project.requirements]
    return render(
        "init-Dockerfile.j2",
        build=build_command(project, needs),
        packaging=packaging,
        manager=packaging.manager,
        requirements=(packaging.files or ("requirements.txt",))[0],
        copies=_copies(packaging),
        secret=(" --mount=type=secret,id=netrc,target=/root/.netrc" if packaging.indexes else ""),
        tool=_quoted(packaging.tool),
        additions=_quoted(needs.additions),
        builder_packages=" ".join(builder for builder, _ in compiled),
        image_packages=" ".join(image for _, image in compiled),
        directory=f"/app/{below}".rstrip("/"),
        source=f"/app/{below}".rstrip("/") + source,
        port=port,
        command=[*command, "--factory"] if needs.application.factory else command,
    )


def _copies(packaging: Packaging) -> list[str]:
    """Returns the arguments of COPY for the files that the installation reads."""
    whole = packaging.manager is Manager.PROJECT and packaging.package
    if whole or not packaging.files:
        return [". ."]
    folders = {str(PurePosixPath(name).parent) for name in packaging.files if "/" in name}
    here = [name for name in packaging.files if "/" not in name]
    return [
        *([f"{' '.join(here)} ./"] if here else ()),
        *(f"{folder}/ {folder}/" for folder in sorted(folders)),
    ]


def _quoted(requirements: Iterable[str]) -> str:
    """Formats requirements as arguments of pip."""
    return " ".join(f'"{requirement}"' for requirement in requirements)


def _below(project: Project) -> str:
    """Returns the project's directory within that of the build, with a slash at the end."""
    if project.context == project.root:
        return ""
    return os.path.relpath(project.root.resolve(), project.context.resolve()) + "/"


def _comment(note: str) -> str:
    return re.sub(r"\s+", " ", note)
