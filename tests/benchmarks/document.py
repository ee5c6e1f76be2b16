"""Writes a section of docs/benchmarks.md; the text around it is kept."""

import os
import platform
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def read(section: str) -> str:
    """Returns the text between the section's markers."""
    _, _, rest = DOCUMENT.read_text().partition(f"<!-- begin: {section} -->\n")
    return rest.partition(f"<!-- end: {section} -->")[0]


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
    DOCUMENT.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}")


def machine() -> str:
    """Returns the machine and its load in one line."""
    cores, load = os.cpu_count(), os.getloadavg()[0]
    return f"Linux {platform.release()}, {cores} cores, load {load:.1f} at the start"
