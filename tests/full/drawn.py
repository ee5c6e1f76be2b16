"""Faults of a drawn panel: a reader sees nothing, or something that misleads."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi_operator.observability.grafana import Dashboard
from tests.browser import Browser
from tests.full import frames
from tests.judges import panels
from tests.judges.panels import Drawn

# Panels that may be empty on the watched service, and why.
EMPTY: Mapping[str, str] = {
    "Requests by version": "no canary",
    "Failed requests by version": "no canary",
    "Duration by version, p95 and p99": "no canary",
    "CPU of a request by version": "no canary",
    "Requests of the canary that the stable version served": "no canary",
    "Failing conditions": "all parts are ready",
    "Firing alerts": "nothing is wrong for long enough",
    "Shed requests": "each pod takes all requests",
    "Requests that nginx rejected": "each pod takes all requests",
    "Replicas of CloudNativePG": "the operator runs the database",
    "Lag of replicas": "the operator runs the database",
    "Indexes not read for a day": "the service is some minutes old",
    "CPU to win": "recommendations need more data than some minutes",
    "Memory to win": "recommendations need more data than some minutes",
}
# Where the axis of small values may end, by Grafana's name of the unit.
_SMALL = {"short": 2, "s": 1, "bytes": 4 << 20, "ops": 1, "reqps": 2, "percentunit": 1}
# A plot has at least this share of its panel.
_PLOT_SHARE = 0.45
_CELL, _GAP = 30, 8


def faults(panel: Mapping[str, Any], drawn: Drawn) -> Iterator[str]:
    """Returns the faults of a panel, each as a sentence without its title.

    Args:
        panel: Its model.
        drawn: Its drawing, as a reader sees it.
    """
    yield from drawn.errors
    if not drawn.points:
        yield from _emptiness(panel, drawn)
        return
    largest = max(drawn.largest or 0, 0)
    field = panel["fieldConfig"]["defaults"]
    steps = (step["value"] or 0 for step in field.get("thresholds", {}).get("steps", ()))
    limit = max(2 * largest, _SMALL[field["unit"]], 1.5 * max(steps, default=0))
    for axis in drawn.axes:
        if axis.max > limit:
            yield f"the axis ends at {axis.ticks[-1:]}, and the largest value is {largest}"
        if len(set(axis.ticks)) < len(axis.ticks):
            yield f"the axis repeats itself: {axis.ticks}"
    if drawn.kind == "table":
        # A label that no series has gives no column.
        titles = panel["transformations"][0]["options"]["renameByName"]
        if not any(title in drawn.text for title in titles.values()):
            yield "the table has no titles"
        yield from (
            f"a column has the title {label}" for label in titles if label in drawn.text.split("\n")
        )
    if drawn.kind in ("stat", "bargauge") and drawn.series < len(panel["targets"]):
        yield f"of {len(panel['targets'])} values {drawn.series} are shown"
    if drawn.kind == "timeseries":
        if not drawn.axes:
            yield "no axis is drawn"
        height = panel["gridPos"]["h"] * (_CELL + _GAP) - _GAP
        if (drawn.plotHeight or 0) < _PLOT_SHARE * height:
            yield f"of {height} pixels the plot has {drawn.plotHeight}"
        if drawn.legendHidden > 0:
            yield f"{drawn.legendHidden} pixels of the legend must be scrolled"


def _emptiness(panel: Mapping[str, Any], drawn: Drawn) -> Iterator[str]:
    meaning = panel["fieldConfig"]["defaults"].get("noValue")
    if panel["title"] not in EMPTY:
        yield "the panel is empty"
    elif not meaning or meaning not in drawn.text:
        yield "the panel does not explain why it is empty"


def drawn_faults(
    chromium: Browser, dashboard: Dashboard, results: frames.Results, *, dark: bool
) -> dict[str, list[str]]:
    """Draws a dashboard, and returns the faults of its panels by their titles."""
    model = dashboard.model()
    drawn = panels.draw(
        chromium,
        model,
        results.frames(model),
        between=(results.since, results.until),
        dark=dark,
    )
    by_id = {panel["id"]: panel for panel in model["panels"] if panel["type"] != "row"}
    assert [panel.id for panel in drawn] == list(by_id)
    assert chromium.errors == []
    found = {panel.title: list(faults(by_id[panel.id], panel)) for panel in drawn}
    return {title: texts for title, texts in found.items() if texts}
