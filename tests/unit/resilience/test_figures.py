"""Several runs of a change are one row of the table."""

import dataclasses

from tests.resilience.figures import HEADINGS, Figures, row

_RUN = Figures(
    requests=33_334,
    refused=0,
    broken=1,
    timed_out=0,
    server_errors=7,
    excused=6,
    lost=2,
    wrong_writes=0,
    p99_milliseconds=20,
    seconds=9,
    backends=4,
    load=1.5,
    ended="2026-11-30 09:00",
)


def test_counts_are_summed_and_the_worst_of_the_others_is_shown() -> None:
    second = dataclasses.replace(
        _RUN, lost=0, p99_milliseconds=90, backends=3, ended="2026-11-30 10:00"
    )
    found = dict(zip(HEADINGS, row("a change", [_RUN, second]), strict=True))
    assert found["runs"] == "2"
    assert (found["requests"], found["broken"], found["lost"]) == ("66668", "2", "2")
    assert (found["p99 during the change, ms"], found["change, s"]) == ("90", "9")
    assert (found["peak of database connections"], found["load"]) == ("4", "1.5")
    assert found["last run, UTC"] == "2026-11-30 10:00"
