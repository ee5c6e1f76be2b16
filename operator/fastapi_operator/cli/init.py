"""``init``: a service for a FastAPI project that exists."""

from pathlib import Path
from typing import Annotated

import typer

from fastapi_operator.api.parse import load_services, parse_service
from fastapi_operator.cli import console, inputs
from fastapi_operator.facts import Facts
from fastapi_operator.project import draft
from fastapi_operator.project.guess import guess
from fastapi_operator.project.source import ProjectError, read_project
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive

_FILE = "service.yaml"


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The project. Default: this directory.")
    ] = Path(),
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Where to write the service, below DIR; - prints it and writes nothing.",
        ),
    ] = _FILE,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a service that is there already.")
    ] = False,
) -> None:
    """Write a FastAPIService, and a Dockerfile where none is, for an existing project.

    Files are read, never imported or run. Each guess is a comment that says from what it was made.
    """
    try:
        project = read_project(directory)
        needs = guess(project)
    except ProjectError as error:
        inputs.stop(str(error))
    text = draft.service(needs, _FILE if output == "-" else output)
    _check(text)
    if output == "-":
        typer.echo(text, nl=False)
        return
    _write(directory / output, text, force=force)
    if "Dockerfile" not in project.files:
        _write(directory / "Dockerfile", draft.dockerfile(project, needs), force=False)
    typer.echo(f"next: fastapi-operator explain -f {directory / output}")


def _check(text: str) -> None:
    """Says what the service still lacks; what was guessed must at least be valid."""
    (body,) = load_services(text)
    service, problems = parse_service(body)
    if service is not None:
        problems = (*problems, *derive(service, Settings(), Facts()).problems)
    console.problems(inputs.name_of(body), problems)


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x") as file:
            file.write(text)
    except FileExistsError:
        inputs.stop(f"{path} is there already; --force writes over it, -o names another file")
    except OSError as error:
        inputs.stop(f"{path}: {error.strerror}")
    typer.echo(f"wrote {path}")
