"""A text table: each column as wide as its content, the last one wrapped to the rest."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import typer

from fastapi_operator.cli.console import DIM, PLAIN, Style

_GAP = "  "
# A pipe has no width; at this one, few reasons are wrapped. A terminal and COLUMNS override it.
_PIPE_WIDTH = 240
# A narrower column would wrap a reason at every second word; a line then exceeds the width instead.
_WRAPPED_MIN = 32


class Cell(NamedTuple):
    """A text and its style."""

    text: str
    style: Style = PLAIN


Row = Sequence[Cell | str]


def format_lines(headings: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Formats a table; a row with one cell is a title and does not affect the column widths."""
    table = [[_cell(item) for item in row] for row in rows]
    full = [row for row in table if len(row) == len(headings)]
    widths = [
        max(len(heading), *(len(row[index].text) for row in full)) if full else len(heading)
        for index, heading in enumerate(headings[:-1])
    ]
    room = max(_width() - sum(widths) - len(_GAP) * len(widths), _WRAPPED_MIN)
    yield from _line([Cell(heading, DIM) for heading in headings], widths, room)
    for row in table:
        yield from _line(row, widths if len(row) == len(headings) else [], room)


def _line(row: Sequence[Cell], widths: Sequence[int], room: int) -> Iterator[str]:
    *cells, last = row
    first = [
        _styled(cell.text.ljust(width), cell.style)
        for cell, width in zip(cells, widths, strict=True)
    ]
    # The name of a field is not divided, so that it can be copied.
    below = [" " * width for width in widths]
    wrapped = textwrap.wrap(last.text, room, break_long_words=False) if widths else [last.text]
    for start, piece in zip_longest([first], wrapped or [""], fillvalue=None):
        yield _GAP.join([*(start or below), _styled(piece or "", last.style)]).rstrip()


def _styled(text: str, style: Style) -> str:
    return typer.style(text, **style) if text and style else text


def _cell(item: Cell | str) -> Cell:
    return item if isinstance(item, Cell) else Cell(item)


def _width() -> int:
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return _PIPE_WIDTH
