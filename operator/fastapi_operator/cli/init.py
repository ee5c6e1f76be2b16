"""``init``: a FastAPIService for an existing project."""

from pathlib import Path
from typing import Annotated

import typer

from fastapi_operator.api.parse import load_services
from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.validate import find_problems
from fastapi_operator.facts import Facts
from fastapi_operator.project import draft
from fastapi_operator.project.guess import guess
from fastapi_operator.project.source import ProjectError, read_project
from fastapi_operator.settings import Settings

_FILE = "service.yaml"


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory of the project.")
    ] = Path(),
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="File for the service, relative to DIR; - prints it and writes no file.",
        ),
    ] = _FILE,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a FastAPIService for an existing project.

    The values are guessed from the project's files, which are read but never imported or run. Each
    guess has a comment with its source. If the project has no Dockerfile, one is written too.

    Examples:
      fastapi-operator init
      fastapi-operator init ./backend -o deploy/service.yaml

    Exit status:
      0  the service is written; it may have problems, which are listed
      2  no FastAPI application is found, or a file cannot be read or written
    """
    try:
        project = read_project(directory)
        needs = guess(project)
    except ProjectError as error:
        inputs.fail(str(error))
    text = draft.service(needs, _FILE if output == "-" else output)
    _check(text)
    if output == "-":
        typer.echo(text, nl=False)
        return
    _write(directory / output, text, force=force)
    if "Dockerfile" not in project.files:
        _write(directory / "Dockerfile", draft.dockerfile(project, needs), force=False)
    typer.echo(f"next, see its numbers: fastapi-operator explain -f {directory / output}")


def _check(text: str) -> None:
    """Prints the problems that the written service still has."""
    (body,) = load_services(text)
    console.print_problems(inputs.name_of(body), find_problems(body, Settings(), Facts()))


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x") as file:
            file.write(text)
    except FileExistsError:
        inputs.fail(f"{path} already exists; use --force to overwrite it, or -o for another file")
    except OSError as error:
        inputs.fail(f"{path}: {error.strerror}")
    typer.echo(f"wrote {path}")
