"""Cells that were measured for the same code, so that a run can be done in pieces."""

import dataclasses
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.benchmarks.overload.cells import Around, Run
from tests.benchmarks.overload.load import Seen
from tests.cluster import places

_ROOT = Path(__file__).resolve().parents[3]


def code() -> str:
    """Returns a name of the checked-out code: its commit, and a hash of the changes to it."""
    commit = _git("rev-parse", "--short=12", "HEAD").strip()
    changed = _git("diff", "HEAD")
    return f"{commit}-{hashlib.sha256(changed.encode()).hexdigest()[:8]}" if changed else commit


class Kept:
    """The cells of one version of the code, in a file that each new cell replaces.

    Args:
        path: The file.
        resume: Whether its cells are used; otherwise it is replaced.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self._path = path
        self._cells: dict[str, Any] = {}
        if resume and path.exists():
            self._cells = json.loads(path.read_text())

    @classmethod
    def of_code(cls, measurement: str = "overload", *, resume: bool) -> "Kept":
        """Returns the cells of a measurement with the checked-out code."""
        return cls(places.cache() / measurement / f"{code()}.json", resume=resume)

    def capacity(self, work: str) -> float | None:
        """Returns the measured capacity of a work; None if it is not measured."""
        found: float | None = self._cells.get(work)
        return found

    def keep_capacity(self, work: str, capacity: float) -> None:
        """Keeps the capacity of a work."""
        self._keep(work, capacity)

    def run(self, cell: str) -> Run | None:
        """Returns the run of a cell; None if it is not measured, or void."""
        if cell not in self._cells:
            return None
        values = self._cells[cell]
        parts = {"seen": _seen(values["seen"]), "around": Around(**values["around"])}
        run = Run(**values | parts)
        return None if run.void else run

    def keep_run(self, cell: str, run: Run) -> None:
        """Keeps the run of a cell."""
        self._keep(cell, dataclasses.asdict(run))

    def _keep(self, name: str, value: Any) -> None:
        self._cells[name] = value
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".fresh")
        fresh.write_text(json.dumps(self._cells))
        fresh.replace(self._path)


def _seen(values: dict[str, Any]) -> Seen:
    # JSON has text as keys.
    by_status = ("statuses", "p99_milliseconds")
    return Seen(
        **values
        | {name: {int(code): of for code, of in values[name].items()} for name in by_status}
    )


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=_ROOT, check=True, capture_output=True, text=True
    ).stdout
