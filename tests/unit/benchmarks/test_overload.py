"""The figures of the overload benchmark: what counts as served, and when a cell is void."""

from pathlib import Path

import pytest

from tests.benchmarks import bars
from tests.benchmarks.overload import cells, tables
from tests.benchmarks.overload.cells import LARGEST, REFERENCE, Around, Run, Series
from tests.benchmarks.overload.kept import Kept
from tests.benchmarks.overload.load import Answer, Seen


def seen(*, served: int, rejected: int = 0, seconds: float = 0.01, lag: float = 0.0) -> Seen:
    statuses = [200] * served + [503] * rejected
    answers = [Answer(at / 100, lag, status, seconds) for at, status in enumerate(statuses)]
    return Seen.of(100, 10, answers)


def verdicts(reference: Seen, largest: Seen, **around: float) -> list[str]:
    """The verdicts of the tables of one work: its summary, then its loads."""
    happened = Around(**around)  # type: ignore[arg-type]
    runs = {REFERENCE: [Run(reference, happened, 0)], LARGEST: [Run(largest, happened, 0)]}
    text = bars.with_verdicts("overload", tables.text([Series(cells.WORKS[0], 100, runs)], {}))
    summary, loads, _ = bars.tables("overload", text)
    return [row[bars.VERDICT] for table in (summary, loads) for _, row in table.rows]


def test_a_response_after_its_client_left_does_not_count() -> None:
    assert seen(served=100).goodput == 10
    assert seen(served=100, seconds=2.1).goodput == 0


def test_requests_that_were_sent_late_make_a_cell_void() -> None:
    assert seen(served=100).on_time_percent == 100
    late = seen(served=1000, lag=0.2)
    assert late.on_time_percent == 0
    assert all("the generator was late" in found for found in verdicts(late, late))


@pytest.mark.parametrize(
    ("largest", "around", "summary", "load"),
    [
        (seen(served=950, rejected=9000), {}, "met", "met"),
        (seen(served=500, rejected=9000), {}, "not met", "met"),
        (seen(served=950, rejected=9000, seconds=0.1), {}, "not met", "not met"),
        (seen(served=950, rejected=9000), {"restarts": 1}, "met", "not met"),
        (seen(served=950, rejected=9000), {"proxy_microseconds": 80}, "met", "not met"),
        (seen(served=950, rejected=9000), {"shed_by_app": 200}, "met", "not met"),
    ],
)
def test_the_bars_at_ten_times_the_capacity(
    largest: Seen, around: dict[str, float], summary: str, load: str
) -> None:
    found = verdicts(seen(served=1000), largest, **around)
    assert (found[0], found[-1]) == (summary, load)


def test_cells_of_the_same_code_are_kept_unless_they_are_void(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "cells.json"
    good = Run(seen(served=100, rejected=50), Around(restarts=1, shed_by_app=None), 0.5, 12)
    first = Kept(path, resume=True)
    first.keep_capacity("JSON", 100)
    first.keep_run("good", good)
    first.keep_run("late", Run(seen(served=100, lag=0.2), Around(), 0))
    first.keep_run("busy", Run(seen(served=100), Around(), 0, busy_percent=80))
    again = Kept(path, resume=True)
    assert (again.capacity("JSON"), again.run("good")) == (100, good)
    assert again.run("late") is again.run("busy") is again.run("absent") is None
    assert Kept(path, resume=False).run("good") is None


def test_a_busy_machine_makes_a_cell_void() -> None:
    run = Run(seen(served=100), Around(), 0, busy_percent=80)
    series = Series(cells.WORKS[0], 100, {REFERENCE: [run], LARGEST: [run]})
    text = bars.with_verdicts("overload", tables.text([series], {}))
    for table in list(bars.tables("overload", text))[:2]:
        assert all("the machine was busy" in row[bars.VERDICT] for _, row in table.rows)
