"""The tables of docs/benchmarks.md, and their bars."""

from collections.abc import Mapping, Sequence

from tests.benchmarks.overload.cells import (
    BUSY,
    LARGEST,
    ON_TIME_PERCENT,
    REFERENCE,
    RIVAL_MULTIPLES,
    RIVAL_WORKS,
    Run,
    Series,
    Work,
)
from tests.benchmarks.overload.changes import CHANGES, CLIENTS, STREAMS_PER_POD
from tests.benchmarks.overload.load import Seen
from tests.benchmarks.overload.rivals import OURS_UNMODIFIED, Server

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
RIVALS = (
    *("server", "work", "load", "offered/s", "served/s", "of its own best", "p99 served, ms"),
    *("rejected/s", "lost", "restarts", "unready", "closed loop/s"),
    *("memory of a pod, relative to ours", "on time", "busy before"),
)
_NOTHING = (0.0, Seen(0, 1))
# A server that serves this share of what another one serves serves as much.
_AS_MUCH = 0.99


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
        _busy(run),
    ]


def rivals_text(servers: Sequence[Server], found: Mapping[tuple[str, str], Series]) -> str:
    """Returns the table of all servers, and where others are better than this operator.

    Args:
        servers: The servers.
        found: What was measured, by the names of server and work.
    """
    rows = [
        rival_row(server, work, multiple, found.get((server.name, work.name)))
        for work in RIVAL_WORKS
        for multiple in RIVAL_MULTIPLES
        for server in servers
    ]
    return f"{_table(RIVALS, rows)}\n\n{_better(servers, found)}"


def rival_row(server: Server, work: Work, multiple: float, series: Series | None) -> list[str]:
    """Returns the row of one server at one load; it has no figures if that was not measured."""
    names = [server.name, work.name, f"{multiple:g}"]
    if series is None or multiple not in series.runs:
        return names + [""] * (len(RIVALS) - len(names))
    run = _middle(series.runs[multiple])
    seen, around = run.seen, run.around
    rejected = seen.count(503)
    best = max(series.capacity, series.best())
    return [
        *names,
        f"{seen.offered:.0f}",
        f"{seen.goodput:.0f}",
        f"{100 * seen.goodput / max(1.0, best):.0f} %",
        f"{seen.p99():.0f}",
        f"{rejected / seen.seconds:.0f}",
        f"{seen.requests - seen.good - rejected}",
        f"{around.restarts}",
        f"{around.unready}",
        f"{series.capacity:.0f}",
        f"{server.memory_times}",
        _on_time(seen),
        _busy(run),
    ]


def _better(servers: Sequence[Server], found: Mapping[tuple[str, str], Series]) -> str:
    """Returns where servers of others serve the same app better than this operator does."""
    lines = [
        f"- {work.name} at {multiple:g} times, {server.name}: {_brief(theirs)}; "
        f"this operator: {_brief(ours)}"
        for work in RIVAL_WORKS
        for multiple in RIVAL_MULTIPLES
        for ours in _seen(found.get((OURS_UNMODIFIED, work.name)), multiple)
        for server in servers
        if server.rival
        for theirs in _seen(found.get((server.name, work.name)), multiple)
        if _is_better(theirs, ours)
    ]
    if not any(series.runs for series in found.values()):
        return ""
    if not lines:
        return "No server of others serves more than this operator, or as much with a lower p99."
    return "\n".join(
        (
            "Servers of others that serve more than this operator does for the unmodified app, or "
            "as much with a lower p99:",
            "",
            *lines,
        )
    )


def _is_better(theirs: Seen, ours: Seen) -> bool:
    if theirs.goodput < _AS_MUCH * ours.goodput:
        return False
    return _AS_MUCH * theirs.goodput > ours.goodput or theirs.p99() < ours.p99()


def _brief(seen: Seen) -> str:
    return f"{seen.goodput:.0f}/s, p99 {seen.p99():.0f} ms"


def _seen(series: Series | None, multiple: float) -> Sequence[Seen]:
    """Returns the figures of a load, if it was measured and is not void."""
    if series is None or multiple not in series.runs:
        return []
    run = _middle(series.runs[multiple])
    return [] if run.void else [run.seen]


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


def _busy(run: Run) -> str:
    return f"{run.busy_percent:.0f} %{', void' if run.void == BUSY else ''}"


def _middle(runs: Sequence[Run]) -> Run:
    return sorted(runs, key=lambda run: run.seen.goodput)[len(runs) // 2]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) if rows else ""
