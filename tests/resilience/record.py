"""Measurements so far, in build/: runs of changes, crowds, and each lost request."""

import dataclasses
import datetime
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.resilience.figures import Figures
from tests.resilience.logs import Logs
from tests.resilience.outcome import Outcome

_BUILD = Path(__file__).resolve().parents[2] / "build"
# If more are lost, they have the same cause.
_WITH_LOGS = 100


class Record:
    """The runs of each change, and the row of each crowd.

    Each is written as it ends, so that an interrupted measurement can be resumed.
    """

    def __init__(self, folder: Path = _BUILD) -> None:
        self._path = folder / "resilience.json"
        self._losses = folder / "resilience-lost.jsonl"

    def runs(self, name: str) -> list[Figures]:
        """Returns the runs of a change."""
        return [Figures(**run) for run in self._read("changes").get(name, ())]

    def crowd(self, name: str) -> list[str] | None:
        """Returns the row of a crowd, if it was measured."""
        return self._read("crowds").get(name)

    def add_run(self, name: str, figures: Figures) -> None:
        """Adds a run of a change."""
        now = datetime.datetime.now(datetime.UTC)
        run = dataclasses.replace(figures, load=_load(), ended=f"{now:%Y-%m-%d %H:%M}")
        self._write("changes", name, [dataclasses.asdict(one) for one in (*self.runs(name), run)])

    def set_crowd(self, name: str, row: Sequence[str]) -> None:
        """Replaces the row of a crowd."""
        self._write("crowds", name, [*row, str(_load())])

    def forget(self, name: str) -> None:
        """Removes the runs of a change; the lost requests stay."""
        self._write("changes", name, [])

    def began(self) -> datetime.date:
        """Returns the day of the oldest run; today without one."""
        ends = [run["ended"] for runs in self._read("changes").values() for run in runs]
        today = datetime.datetime.now(datetime.UTC).date()
        return datetime.date.fromisoformat(min(ends)[:10]) if ends else today

    def add_losses(self, outcome: Outcome, logs: Logs) -> Path | None:
        """Appends each lost request with the lines of the pods' logs about it.

        Returns:
            The file, or None if no request was lost.
        """
        losses = outcome.losses()
        if not losses:
            return None
        about = logs.about({loss["reference"] for loss in losses[:_WITH_LOGS]})
        errors = logs.errors({loss["ended"][:19] for loss in losses[:_WITH_LOGS]})
        with self._losses.open("a") as file:
            for loss in losses:
                line = {
                    **loss,
                    "load": _load(),
                    "logs": about.get(loss["reference"], []),
                    "errors within this second": errors.get(loss["ended"][:19], []),
                }
                file.write(f"{json.dumps(line)}\n")
        return self._losses

    def _read(self, section: str) -> dict[str, Any]:
        content: Mapping[str, Any] = (
            json.loads(self._path.read_text()) if self._path.exists() else {}
        )
        return dict(content.get(section, {}))

    def _write(self, section: str, name: str, value: object) -> None:
        sections = {key: self._read(key) for key in ("changes", "crowds")}
        sections[section][name] = value
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps(sections, indent=1))


def _load() -> float:
    return round(os.getloadavg()[0], 1)
