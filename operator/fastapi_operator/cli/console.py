"""What people see: results on standard output, remarks on standard error.

Colours appear on a terminal alone, and nowhere with NO_COLOR. Nothing here imports rich, which
takes as long to load as a plan takes to make.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import typer

from fastapi_operator.problems import Problem, Severity

# What ``typer.style`` takes.
Style = Mapping[str, Any]
PLAIN: Style = {}
BOLD: Style = {"bold": True}
DIM: Style = {"dim": True}
HEADING: Style = {"bold": True, "fg": "cyan"}
ERROR: Style = {"bold": True, "fg": "red"}
WARNING: Style = {"bold": True, "fg": "yellow"}


def say(text: str = "", style: Style = PLAIN, *, remark: bool = False) -> None:
    """Prints a line; one that is styled in parts comes with its styles."""
    line = typer.style(text, **style) if style else text
    # None leaves it to the stream: codes are taken out where it is no terminal.
    typer.echo(line, err=remark, color=False if os.environ.get("NO_COLOR") else None)


def error(message: str) -> None:
    """Says what went wrong, on standard error."""
    say(f"{typer.style('error:', **ERROR)} {message}", remark=True)


def problems(service: str, found: Iterable[Problem]) -> None:
    """Lists the problems of a service on standard error, one a line."""
    for problem in found:
        style = ERROR if problem.severity is Severity.ERROR else WARNING
        severity = typer.style(f"{problem.severity}:", **style)
        stage = typer.style(f"[{problem.stage}]", **DIM)
        say(f"{severity} {service}: {problem} {stage}", remark=True)
