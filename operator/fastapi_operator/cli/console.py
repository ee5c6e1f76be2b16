"""Output of the commands: results on standard output, notes and errors on standard error.

Colours are used only on a terminal, and never if NO_COLOR is set. Nothing here imports rich: its
import takes as long as a whole ``explain``.
"""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import typer

from fastapi_operator.problems import Problem, Severity

# Keyword arguments of ``typer.style``.
Style = Mapping[str, Any]
PLAIN: Style = {}
BOLD: Style = {"bold": True}
DIM: Style = {"dim": True}
HEADING: Style = {"bold": True, "fg": "cyan"}
ERROR: Style = {"bold": True, "fg": "red"}
WARNING: Style = {"bold": True, "fg": "yellow"}


def print_line(text: str = "", style: Style = PLAIN, *, to_stderr: bool = False) -> None:
    """Prints a line in one style; a text with several styles is passed already styled."""
    line = typer.style(text, **style) if style else text
    # With None, typer removes colour codes if the stream is not a terminal.
    typer.echo(line, err=to_stderr, color=False if os.environ.get("NO_COLOR") else None)


def print_error(message: str) -> None:
    """Prints an error on standard error."""
    print_line(f"{typer.style('error:', **ERROR)} {message}", to_stderr=True)


def print_problems(service: str, problems: Iterable[Problem]) -> None:
    """Prints the problems of a service on standard error, one per line."""
    for problem in problems:
        style = ERROR if problem.severity is Severity.ERROR else WARNING
        severity = typer.style(f"{problem.severity}:", **style)
        stage = typer.style(f"[{problem.stage}]", **DIM)
        print_line(f"{severity} {service}: {problem} {stage}", to_stderr=True)


def print_note(service: str, note: str) -> None:
    """Prints a note about a service on standard error."""
    print_line(f"{typer.style('note:', **BOLD)} {service}: {note}", to_stderr=True)


def print_json(data: Any) -> None:
    """Prints data as JSON, for programs."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
