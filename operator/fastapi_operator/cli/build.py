"""Builds an image with the program that is there, and brings it to the nodes."""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer

from fastapi_operator.cli import console, inputs
from fastapi_operator.delivery import builder, context, mounts, stages, tag
from fastapi_operator.delivery.builder import Build, Builder, Command
from fastapi_operator.delivery.destination import Destination

# Stands for the file in a dry run; a real one is in a directory of its own.
DRY_ARCHIVE = Path("IMAGE.tar")
_PROBE_SECONDS = 20
# The exit status of a build, a load or a push that failed.
_FAILED = 3
_STANDARD_ERROR = 2
_NO_LOGIN = ("denied", "unauthorized", "authentication required", "no basic auth", "forbidden")


def find_builder(requested: Builder | None) -> Builder:
    """Returns the program that builds; ends the command if there is none."""
    failures: dict[Builder, str] = {}
    for candidate in Builder if requested is None else (requested,):
        if shutil.which(candidate) is None:
            continue
        failures[candidate] = _probe(candidate)
        if not failures[candidate]:
            break
    try:
        return builder.choose(requested, failures)
    except builder.NoBuilderError as error:
        inputs.fail(str(error))


def refuse_secrets(sources: context.Sources) -> None:
    """Ends the command if the build would get a file with secrets."""
    text = sources.dockerfile_text
    found = [name for name in context.secret_files(sources.files) if stages.may_contain(text, name)]
    if not found:
        return
    name = str(sources.ignore or sources.directory / ".dockerignore")
    if line := stages.copying(text, found[0]):
        inputs.fail(
            f"{sources.dockerfile} copies {found[0]}, whose values would become readable in the "
            f"image; remove it from this instruction, since the service has its own values: {line}"
        )
    remedy = f"exclude it with: printf '\\n**/.env*\\n' >> {shlex.quote(name)}"
    inputs.fail(
        f"{sources.directory / found[0]} would become readable in the image, because the build "
        f"gets it from {sources.directory}; {remedy}"
    )


def refuse_mounts(program: Builder, sources: context.Sources) -> None:
    """Ends the command if the builder is too old for a mount of the Dockerfile."""
    mount = next(mounts.relative_mounts(sources.dockerfile_text), None)
    if mount is None:
        return
    reason = mounts.refusal(program, _probed(program).stdout, mount)
    if reason:
        inputs.fail(f"{sources.dockerfile}, {reason}")


def source_tag(sources: context.Sources, *, without: Path) -> str:
    """Returns the tag of the sources: their commit, and their content if it is another.

    Args:
        sources: The files of the build.
        without: The file of the service, which does not change the image.
    """
    described = _git(sources.directory, "describe", "--tags", "--always", "--abbrev=12")
    changed = _git(sources.directory, "status", "--porcelain", "--", ".")
    if described and changed == "" and not sources.added:
        return tag.of_sources(described, "")
    own = os.path.relpath(without.resolve(), sources.directory)
    names = [name for name in sources.all_files if name != own]
    added = {name: text for name, text in sources.added.items() if name != own}
    try:
        content = tag.content_hash(sources.directory, names, added)
    except OSError as error:
        inputs.fail(f"{error.filename}: {error.strerror}; exclude it in .dockerignore")
    return tag.of_sources(described or "", content)


def commands(
    program: Builder, planned: Build, destination: Destination, archive: Path
) -> tuple[Command, ...]:
    """Returns the commands from the sources to the nodes."""
    made = builder.build_command(program, planned)
    if destination.is_registry:
        return (made, builder.push_command(program, planned.image))
    return (
        made,
        builder.save_command(program, planned.image, archive),
        destination.load_command(archive),
    )


def deliver(program: Builder, planned: Build, destination: Destination) -> None:
    """Builds the image and brings it to the nodes; ends the command with 3 if that fails."""
    with _archive() as archive:
        for command in commands(program, planned, destination, archive):
            _run(command, planned.image)


def require_program(destination: Destination) -> None:
    """Ends the command if the program that loads images is not there."""
    if destination.is_registry:
        return
    name = destination.load_command(DRY_ARCHIVE)[0]
    if shutil.which(name) is None:
        inputs.fail(
            f"{name} is not on PATH, and loads the image into the nodes; install it, or push the "
            "image with --registry"
        )


@contextmanager
def _archive() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fastapi-operator-") as folder:
        yield Path(folder, "image.tar")


def _probe(candidate: Builder) -> str:
    """Returns why a program cannot build; empty if it can."""
    try:
        done = _probed(candidate)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{shlex.join(candidate.probe)}: {error}"
    if done.returncode == 0:
        return ""
    last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
    return f"{shlex.join(candidate.probe)}: {last[0]}"


def _probed(candidate: Builder) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (a fixed command)
        candidate.probe, capture_output=True, text=True, check=False, timeout=_PROBE_SECONDS
    )


def _git(directory: Path, *arguments: str) -> str | None:
    """Returns the output of git; None if it fails, for example outside of a repository."""
    try:
        done = subprocess.run(  # noqa: S603 (a fixed command)
            ("git", "-C", str(directory), *arguments),  # noqa: S607 (the user's own git)
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _run(command: Command, image: str) -> None:
    """Runs a command whose output is progress, so it goes to standard error."""
    console.print_line(f"$ {shlex.join(command)}", console.BOLD, to_stderr=True)
    # A build keeps the terminal for its progress; a push is read, for the reason of a refusal.
    is_push = command[1] == "push"
    try:
        process = subprocess.Popen(  # noqa: S603 (what --dry-run prints)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if is_push else _STANDARD_ERROR,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        _fail(f"{command[0]}: {error.strerror}")
    refused = False
    with process:
        for line in process.stdout or ():
            typer.echo(line, nl=False, err=True)
            refused = refused or any(word in line.lower() for word in _NO_LOGIN)
    if process.returncode:
        login = f"{command[0]} login {image.partition('/')[0]}"
        remedy = f"; log in with: {login}" if refused else ""
        _fail(f"exit status {process.returncode} of: {shlex.join(command)}{remedy}")


def _fail(message: str) -> NoReturn:
    console.print_error(message)
    raise typer.Exit(_FAILED)
