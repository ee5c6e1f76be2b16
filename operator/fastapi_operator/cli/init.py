"""``init``: a FastAPIService for an existing project."""

from pathlib import Path
from typing import Annotated

import typer

from fastapi_operator.api.parse import load_services
from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.validate import find_problems
from fastapi_operator.facts import Facts
from fastapi_operator.project import draft
from fastapi_operator.project.needs import Needs, find_needs
from fastapi_operator.project.notes import notes
from fastapi_operator.project.reading import read_project
from fastapi_operator.project.source import Project, ProjectError
from fastapi_operator.settings import Settings

FILE = "service.yaml"


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
    ] = FILE,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a FastAPIService for an existing project.

    The values are guessed from the project's files, which are read but never imported or run. Each
    guess has a comment with its source. If the project has no Dockerfile, one is written too, which
    installs from the lock file. What is left to you is listed, and at the top of the file.

    Examples:
      fastapi-operator init
      fastapi-operator init ./backend -o deploy/service.yaml

    Exit status:
      0  the service is written; it may have problems, which are listed
      2  no FastAPI application is found, or a file cannot be read or written
    """
    try:
        project = read_project(directory)
        needs = find_needs(project)
    except ProjectError as error:
        inputs.fail(str(error))
    text = service_text(project, needs, FILE if output == "-" else output)
    if output == "-":
        typer.echo(text, nl=False)
        return
    root = project.root
    write(root / output, text, force=force)
    for file in () if needs.image else draft.image_files(project, needs):
        write(root / file.name, file.text, force=False)
    typer.echo(f"next, see its numbers: fastapi-operator explain -f {root / output}")
    typer.echo(f"or build and run it: fastapi-operator deploy {root}")


def service_text(project: Project, needs: Needs, file: str, profile: str = "") -> str:
    """Returns the service of a project, and prints its problems and what is left to a person."""
    listed = notes(project, needs)
    text = draft.service(needs, listed, file, profile)
    _check(text)
    for note in listed:
        console.print_note(needs.name.value, note)
    return text


def _check(text: str) -> None:
    """Prints the problems that the service still has; one with an error is not written."""
    (body,) = load_services(text)
    problems = find_problems(body, Settings(), Facts())
    console.print_problems(inputs.name_of(body), problems)
    if inputs.has_errors(problems):
        inputs.fail("the service that was found is not valid, so no file is written")


def write(path: Path, text: str, *, force: bool) -> None:
    """Writes a file; one that exists ends the command unless it is forced."""
    try:
        with path.open("w" if force else "x") as file:
            file.write(text)
    except FileExistsError:
        inputs.fail(f"{path} already exists; use --force to overwrite it, or -o for another file")
    except OSError as error:
        inputs.fail(f"{path}: {error.strerror}")
    typer.echo(f"wrote {path}")
