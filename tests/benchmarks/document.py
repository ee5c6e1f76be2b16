"""Writes a section of docs/benchmarks.md; the text around it is kept."""

import datetime
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import bars

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
# The section with the list of the bars that are not met; it follows from the others.
NOT_MET = "not met"
_BEGIN = re.compile(r"<!-- begin: (.+) -->")
_MEASURED = "<!-- measured: {} -->"


def sections() -> dict[str, str]:
    """Returns the text of each measured section, by name."""
    names = _BEGIN.findall(DOCUMENT.read_text())
    return {name: read(name) for name in names if name != NOT_MET}


def read(section: str, *, page: Path = DOCUMENT) -> str:
    """Returns the text between the section's markers."""
    _, _, rest = page.read_text().partition(f"<!-- begin: {section} -->\n")
    return rest.partition(f"<!-- end: {section} -->")[0]


def measured(section: str) -> datetime.date:
    """Returns the day on which a section was written.

    Raises:
        ValueError: The section has no date.
    """
    found = re.search(_MEASURED.format(r"(\d{4}-\d\d-\d\d)"), read(section))
    if found is None:
        raise ValueError(f"the section {section!r} of {DOCUMENT} has no date")
    return datetime.date.fromisoformat(found[1])


def write(section: str, text: str, *, measured: datetime.date | None = None) -> None:
    """Replaces the text between the section's markers, with a verdict on each row that has a bar.

    The list of the bars that are not met is written again.

    Args:
        section: The section.
        text: Its text.
        measured: The day of the oldest of its figures, if it is not today.

    Raises:
        ValueError: The document has no such section.
    """
    date = _MEASURED.format(measured or datetime.datetime.now(datetime.UTC).date())
    replace(DOCUMENT, section, f"{date}\n\n{bars.with_verdicts(section, text.strip())}")
    replace(DOCUMENT, NOT_MET, bars.not_met(sections()))


def keep_rows(
    section: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, named_by: int = 1
) -> None:
    """Writes rows into a section's table, each in the place of an earlier one of the same name.

    So a table can be measured row by row. The day of the section stays that of its oldest row.

    Args:
        section: The section; it has this table only.
        headings: The headings of the table, without the verdict.
        rows: Their cells.
        named_by: The number of columns that name a row; rows are in groups by the first one.

    Raises:
        ValueError: The document has no such section, or no date in it.
    """
    new = {tuple(cells[:named_by]): cells for cells in rows}
    old = {tuple(cells[:named_by]): cells for cells in bars.rows(read(section), headings)}
    all_rows = [*(old | new).values()]
    groups = [cells[0] for cells in all_rows]
    all_rows.sort(key=lambda cells: groups.index(cells[0]))
    lines = [headings, ["---"] * len(headings), *all_rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    day = measured(section) if old.keys() - new else None
    write(section, f"The last row: {machine()}.\n\n{table}", measured=day)


def replace(page: Path, section: str, text: str) -> None:
    """Replaces the text between a section's markers in a page.

    Raises:
        ValueError: The page has no such section.
    """
    begin, end = f"<!-- begin: {section} -->\n", f"<!-- end: {section} -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} has no section {section!r}: write its markers first")
    page.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}")


def machine() -> str:
    """Returns the machine and its load in one line."""
    cores, load = os.cpu_count(), os.getloadavg()[0]
    return f"Linux {platform.release()}, {cores} cores, load {load:.1f} at the start"
