"""The tables of docs/benchmarks.md, and their bars."""

from collections.abc import Mapping, Sequence

from tests.benchmarks.overload.cells import (
    BUSY,
    LARGEST,
    ON_TIME_PERCENT,
    REFERENCE,
    Run,
    Series,
)
from tests.benchmarks.overload.changes import CHANGES, CLIENTS, STREAMS_PER_POD
from tests.benchmarks.overload.load import Seen

LOADS = (
    *("work", "load", "offered/s", "served/s", "p99 served, ms", "rejected/s"),
    *("p99 rejected, ms", "lost", "on time", "proxy, µs/request", "of the rejected, by the app"),
    *("normal after, s", "restarts", "unready", "not Ready", "busy before"),
)
SUMMARY = (
    "work, capacity",
    "10 times",
    "of the best",
    "p99 relative to 0.8 times",
    "balance",
    "void",
)
OTHERS = ("during", "requests", "served/s", "lost", "p99 served, ms", "on time")
DURING_STREAMS = f"{STREAMS_PER_POD} idle streams per pod, at 0.8 times"
DURING_CROWD = f"{CLIENTS} clients at once"
DURING_PRIORITY = "requests with priority, at 5 times"
DURING = (
    DURING_STREAMS,
    DURING_PRIORITY,
    DURING_CROWD,
    *(f"{name} at 2 times" for name in CHANGES),
)
_NOTHING = (0.0, Seen(0, 1))


def text(series: Sequence[Series], others: Mapping[str, tuple[float, Seen]]) -> str:
    """Returns all tables; a median of several runs has the figures of the middle one."""
    return "\n\n".join(
        (
            _table(SUMMARY, [_summary(item) for item in series if LARGEST in item.runs]),
            _table(
                LOADS,
                [load_row(item, multiple) for item in series for multiple in sorted(item.runs)],
            ),
            _table(OTHERS, [_other(name, *others.get(name, _NOTHING)) for name in DURING]),
        )
    )


def load_row(series: Series, multiple: float) -> list[str]:
    """Returns the row of one load of a work."""
    run = _middle(series.runs[multiple])
    seen, around = run.seen, run.around
    rejected = seen.count(503)
    by_app = around.shed_by_app
    return [
        series.work.name,
        f"{multiple:g}",
        f"{seen.offered:.0f}",
        f"{seen.goodput:.0f}",
        f"{seen.p99():.0f}",
        f"{rejected / seen.seconds:.0f}",
        f"{seen.p99(503):.0f}",
        f"{seen.requests - seen.count(200, 503)}",
        _on_time(seen),
        f"{around.proxy_microseconds:.0f}",
        "" if by_app is None or not rejected else f"{100 * by_app / rejected:.1f} %",
        f"{run.normal_seconds:.1f}",
        f"{around.restarts}",
        f"{around.unready}",
        f"{around.not_ready}",
        f"{run.busy_percent:.0f} %{', void' if run.void == BUSY else ''}",
    ]


def _summary(series: Series) -> list[str]:
    reference = series.p99(REFERENCE) if REFERENCE in series.runs else 0.0
    shares = [run.around.busiest_share for runs in series.runs.values() for run in runs]
    return [
        f"{series.work.name}, {series.capacity:.0f}/s",
        f"{series.goodput(LARGEST):.0f}/s",
        f"{100 * series.goodput(LARGEST) / max(1.0, series.best()):.0f} %",
        f"{series.p99(LARGEST) / reference:.1f}" if reference else "",
        f"{100 * (max(shares) - 1):.0f} %" if any(shares) else "",
        next((run.void for runs in series.runs.values() for run in runs if run.void), ""),
    ]


def _other(name: str, reference: float, seen: Seen) -> list[str]:
    return [
        name,
        f"{seen.requests}",
        f"{seen.goodput:.0f} ({100 * seen.goodput / max(1.0, reference):.0f} %)",
        f"{seen.requests - seen.count(200, 503)}",
        f"{seen.p99():.0f}",
        _on_time(seen),
    ]


def _on_time(seen: Seen) -> str:
    share = f"{seen.on_time_percent:.1f} %"
    return f"{share}, void" if seen.on_time_percent < ON_TIME_PERCENT else share


def _middle(runs: Sequence[Run]) -> Run:
    return sorted(runs, key=lambda run: run.seen.goodput)[len(runs) // 2]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) if rows else ""
