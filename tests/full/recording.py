"""Figures of docs/benchmarks.md: always printed, and written if ``RECORD=1``."""

import os
from collections.abc import Sequence

from tests.benchmarks import document


def record(section: str, heading: str, rows: Sequence[str]) -> None:
    """Prints a table, and writes it into its section if requested."""
    rule = "|" + " --- |" * (heading.count("|") - 1)
    table = "\n".join([heading, rule, *rows])
    print(table)
    if os.environ.get("RECORD"):
        document.write(section, f"{document.machine()}.\n\n{table}")
