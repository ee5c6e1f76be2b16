"""Writes a section of the repository's docs/benchmarks.md, and leaves the other text unchanged."""

from __future__ import annotations

import datetime
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def write(section: str, text: str) -> None:
    """Replaces the text between the section's markers.

    Raises:
        ValueError: The document has no such section.
    """
    begin, end = f"<!-- begin: {section} -->\n", f"<!-- end: {section} -->"
    before, found, rest = DOCUMENT.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{DOCUMENT} has no section {section!r}: write its markers first")
    measured = f"<!-- measured: {datetime.datetime.now(datetime.UTC).date()} -->"
    DOCUMENT.write_text(f"{before}{begin}\n{measured}\n\n{text.strip()}\n\n{end}{after}")
