"""The live view of ``status --watch`` on a terminal."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from fastapi_operator.observability.current import Current, Traffic, Use

_BARS = "▁▂▃▄▅▆▇█"
_METER = 16
_HISTORY = 36
# The two columns need this many characters; a narrower terminal has one below the other.
_WIDE = 100
_LEFT = 56
_LABELS = 10


@dataclass(frozen=True)
class Seen:
    """The state of a service at one moment.

    Attributes:
        record: The state, as ``status -o json`` prints it.
        rollouts: The workloads whose pods are being replaced, in words.
        current: The load; None if it was not read yet.
        note: Why the load is not known; empty if it is.
        history: Requests per second of the last looks, the oldest first.
        at: The time.
        interval: Seconds between two looks.
    """

    record: Mapping[str, Any]
    rollouts: tuple[str, ...]
    current: Current | None
    note: str
    history: tuple[float, ...]
    at: datetime.datetime
    interval: float


def render(seen: Seen, width: int) -> RenderableType:
    """Returns the view for a terminal of this width."""
    record = seen.record
    left = Group(
        _heading("Traffic"), *_traffic(seen), Text(), _heading("Connections"), *_uses(seen)
    )
    right = Group(_heading("Parts"), _parts(record), *_rollouts(seen))
    if width >= _WIDE:
        body = Table.grid(padding=(0, 4), expand=True)
        body.add_column(width=_LEFT, overflow="fold")
        body.add_column(ratio=1, overflow="fold")
        body.add_row(left, right)
        middle: RenderableType = body
    else:
        middle = Group(left, Text(), right)
    return Group(_title(record), Rule(style="dim"), middle, *_below(record), Text(), _foot(seen))


def _title(record: Mapping[str, Any]) -> Text:
    ready = bool(record["ready"])
    title = Text()
    title.append("✓ " if ready else "✗ ", "bold green" if ready else "bold red")
    title.append(str(record["service"]), "bold")
    title.append(f"  {record['namespace']}  {record['image']}\n", "dim")
    reason = f"{record['reason']}{' (stalled)' if record['stalled'] else ''}"
    message = record["message"]
    title.append(f"  {message if ready and message else _joined(reason, message)}")
    if record["url"]:
        title.append(f"\n  {record['url']}", "cyan")
    return title


def _joined(reason: str, message: str) -> str:
    return f"{reason}: {message}" if message else reason


def _heading(text: str) -> Text:
    return Text(text, "bold cyan")


def _traffic(seen: Seen) -> Iterable[RenderableType]:
    traffic = seen.current.traffic if seen.current else None
    if traffic is None:
        yield Text(f"  {seen.note or 'reading the pods …'}", "yellow" if seen.note else "dim")
        return
    table = _grid()
    table.add_row(
        "requests/s", Text(f"{traffic.requests:.1f}", "bold"), sparkline(seen.history[-_HISTORY:])
    )
    failed = "bold red" if traffic.failed > 0 else "bold"
    table.add_row("errors/s", Text(f"{traffic.failed:.1f}", failed), _share(traffic))
    p95 = "–" if traffic.p95_seconds is None else f"{1000 * traffic.p95_seconds:.0f} ms"
    table.add_row("p95", Text(p95, "bold"), "")
    in_flight = Text(f"{traffic.in_flight:.0f}", "bold")
    if traffic.limit is None:
        table.add_row("in flight", in_flight, Text("no limit", "dim"))
    else:
        table.add_row("in flight", in_flight, _meter(traffic.in_flight, traffic.limit, "limit"))
    shed = "bold yellow" if traffic.shed > 0 else "bold"
    table.add_row("shed/s", Text(f"{traffic.shed:.1f}", shed), "")
    yield table


def _share(traffic: Traffic) -> Text:
    if not traffic.failed:
        return Text()
    return Text(f"{100 * traffic.failed / traffic.requests:.1f} % of the requests", "red")


def _uses(seen: Seen) -> Iterable[RenderableType]:
    uses: Sequence[Use] = seen.current.connections if seen.current else ()
    if not uses:
        yield Text("  not measured", "dim")
        return
    table = _grid()
    for use in uses:
        used = Text(f"{use.used:.0f}", "bold")
        waiting = f", {use.waiting:.0f} waiting" if use.waiting else ""
        meter = Text(waiting) if use.capacity is None else _meter(use.used, use.capacity, waiting)
        table.add_row(use.name, used, meter)
    yield table


def _grid() -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=_LABELS)
    table.add_column(justify="right", width=7, no_wrap=True)
    table.add_column(no_wrap=True)
    return table


def _meter(value: float, capacity: float, after: str) -> Text:
    share = min(value / capacity, 1.0) if capacity else 1.0
    full = round(_METER * share)
    style = "red" if share >= 1 else "yellow" if share > 0.8 else "green"
    meter = Text()
    meter.append("█" * full, style)
    meter.append("░" * (_METER - full), "dim")
    meter.append(f" {'of' if after != 'limit' else 'limit'} {capacity:.0f}", "dim")
    if after not in ("", "limit"):
        meter.append(after, "yellow")
    return meter


def sparkline(values: Sequence[float]) -> str:
    """Returns numbers as bars of a line, each as high as its share of the largest."""
    largest = max(values, default=0.0)
    if not largest:
        return _BARS[0] * len(values)
    return "".join(_BARS[round((len(_BARS) - 1) * value / largest)] for value in values)


def _parts(record: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for part in record["parts"]:
        ready = part["ready"]
        mark, style = ("·", "dim") if ready is None else ("✓", "green") if ready else ("✗", "red")
        name = Text(part["part"], "" if ready in (True, None) else "bold")
        table.add_row(Text(mark, f"bold {style}"), name, _cause(part))
    if revision := (record["migration"] or {}).get("revision"):
        table.add_row("", Text("revision", "dim"), Text(str(revision), "dim"))
    return table


def _cause(part: Mapping[str, Any]) -> Text:
    if part["ready"] in (True, None):
        return Text(part["message"], "dim")
    text = Text(_joined(part["reason"], part["message"]), "red")
    for item in part["objects"]:
        if not item["ready"] and item["message"] and item["message"] not in part["message"]:
            text.append(f"\n{item['kind']} {item['name']}: {item['message']}", "default")
    return text


def _rollouts(seen: Seen) -> Iterable[RenderableType]:
    lines = [Text(f"  {line}", "yellow") for line in seen.rollouts]
    if canary := seen.record["canary"]:
        share = f"{canary['percent']} % of the requests, step {canary['step']} of {canary['steps']}"
        lines.append(Text(f"  canary {canary['phase'].lower()}: {share}", "bold yellow"))
        lines.append(Text(f"  {canary['image']}", "dim"))
        # The judge's reason is absent before the first look.
        lines += [Text(f"  {text}") for text in (canary.get("verdict"), canary["next"]) if text]
    return [Text(), _heading("Rollout"), *lines] if lines else []


def _below(record: Mapping[str, Any]) -> Iterable[RenderableType]:
    for item in record["pending"]:
        yield Text.assemble(("\npending ", "bold cyan"), f"{item['name']}: {item['reason']}")
    for item in record["problems"]:
        style = "bold red" if item["severity"] == "error" else "bold yellow"
        severity = (f"\n{item['severity']} ", style)
        yield Text.assemble(severity, f"{item['path']}: {item['message']}")


def _foot(seen: Seen) -> Text:
    at = seen.at.astimezone().strftime("%H:%M:%S")
    return Text(f"{at}, every {seen.interval:g} s; Ctrl-C ends", "dim")
