"""Writes a section of docs/benchmarks.md; the text around it is left alone."""

from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "benchmarks.md"


def write(section: str, text: str) -> None:
    """Replaces what stands between the section's markers.

    Raises:
        ValueError: The document has no such section.
    """
    begin, end = f"<!-- begin: {section} -->\n", f"<!-- end: {section} -->"
    before, found, rest = DOCUMENT.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{DOCUMENT} has no section {section!r}: write its markers first")
    DOCUMENT.write_text(f"{before}{begin}\n{text}\n{end}{after}")
