"""What people see: results on standard output, remarks on standard error.

Rich honours NO_COLOR and colours only on a terminal.
"""

import os
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from fastapi_operator.problems import Problem, Severity

# A pipe has no width: wide enough that no reason is broken. A terminal and COLUMNS say theirs.
_PIPE_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 240

output = Console(highlight=False, width=_PIPE_WIDTH)
_remarks = Console(stderr=True, highlight=False, soft_wrap=True)


def error(message: str) -> None:
    """Says what went wrong, on standard error."""
    _remarks.print(Text.assemble(("error: ", "bold red"), message))


def problems(service: str, found: Iterable[Problem]) -> None:
    """Lists the problems of a service on standard error, one a line."""
    for problem in found:
        style = "bold red" if problem.severity is Severity.ERROR else "bold yellow"
        _remarks.print(
            Text.assemble((f"{problem.severity}: ", style), f"{service}: {problem}"),
            Text(f"[{problem.stage}]", style="dim"),
        )
