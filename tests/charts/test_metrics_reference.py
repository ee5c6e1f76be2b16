"""Every metric that is exposed or read is in docs/reference/metrics.md, with its meaning."""

import math
import re
from collections.abc import Callable, Iterator, Mapping

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.observability import readings, slo, traffic
from fastapi_operator.observability.alerts.catalog import ALERTS
from fastapi_operator.observability.dashboards import DASHBOARDS
from fastapi_operator.observability.exported import EXPORTED
from fastapi_operator.observability.readings import Pod
from fastapi_operator.observability.samples import Histogram, Labels, Scrape, Window
from fastapi_operator.observability.signals import Planned
from fastapi_operator.parts import Part
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.charts.conftest import ROOT
from tests.charts.test_dashboards import SERIES, _queries, series_of, used_in
from tests.unit.resources.operands import files, wanted
from tests.unit.services import service

PAGE = ROOT / "docs/reference/metrics.md"
# Made by Prometheus itself, and by the rules of a promise.
_OTHERS = re.compile(r"^(?:up|ALERTS|fastapi_service:.*)$")


class Recording(Window):
    """A window that has every series, and records the queries."""

    def __init__(self) -> None:
        super().__init__([Scrape(0.0, {}), Scrape(1.0, {})])
        self.asked: set[str] = set()

    def has(self, name: str) -> bool:
        self.asked.add(name)
        return True

    def values_of(self, name: str, label: str) -> frozenset[str]:
        self.asked.add(name)
        return frozenset({"500"})

    def histogram(self, name: str, **wanted: str) -> Histogram:
        super().histogram(name, **wanted)
        return Histogram(((math.inf, 1.0),), 1.0, 1.0)

    def _matching(self, name: str, wanted: Mapping[str, str]) -> Iterator[Labels]:
        self.asked.add(name)
        return super()._matching(name, wanted)


def read_by_doctor() -> set[str]:
    """Returns the series that `doctor`, `profile` and `measure` read from a window."""
    window = Recording()
    pods = [Pod(part.value, part) for part in Part]
    readings.read({pod.name: window for pod in pods}, pods, planned=Planned())
    traffic.measure([window])
    traffic.measurements({"app": window}, {})
    return window.asked


def read_by_a_promise() -> set[str]:
    """Returns the series that the rules of a service's objective read."""
    plan = derive(
        service(observability={"slo": {"availabilityPercent": "99.9", "latencyMilliseconds": 300}}),
        Settings(),
        Facts(),
    )
    groups = slo.groups("team", "shop", plan.observability, runbooks="")
    return set().union(*(used_in(rule["expr"]) for group in groups for rule in group["rules"]))


def shown_by_the_proxy() -> set[str]:
    """The series of nginx's page."""
    observed = {"observability": {"metrics": {"exporters": True}}}
    program = files(wanted(**observed), "shop-proxy")["counts.js"]
    families = re.findall(r"name: '(\w+)'(?:[^}]*(bounds))?", program)
    gauges = re.findall(r"# TYPE (\w+) gauge", program)
    return {f"{name}_bucket" if bounds else name for name, bounds in families} | {*gauges}


READERS: dict[str, Callable[[], set[str]]] = {
    "panels": lambda: set().union(*(used_in(q.values[1].expression) for q in _queries())),
    "marks": lambda: {
        name
        for dashboard in DASHBOARDS
        for mark in dashboard.model()["annotations"]["list"]
        for name in used_in(mark["expr"])
    },
    "alerts": lambda: set().union(*(used_in(alert.expression) for alert in ALERTS)),
    "doctor": read_by_doctor,
    "promise": read_by_a_promise,
    "proxy": shown_by_the_proxy,
}


def documented() -> dict[str, tuple[str, str]]:
    """Type and meaning of each metric of the page."""
    row = r"^\| `(\w+)` \| (\w+) \| [\w ]* \| [^|]*\| (.+) \|$"
    return {
        name: (kind, text) for name, kind, text in re.findall(row, PAGE.read_text(), re.MULTILINE)
    }


@pytest.mark.parametrize("reader", READERS)
def test_metrics_that_are_read_or_shown_are_in_the_reference(reader: str) -> None:
    names = {name for name in READERS[reader]() if not _OTHERS.match(name)}
    assert names
    found = documented()
    for name in names:
        base = re.sub(r"_(?:bucket|count|sum)$", "", name)
        kind, text = found.get(name) or found.get(base) or ("", "")
        assert text, f"{name} is not in {PAGE.name}"
        assert kind == SERIES[name].kind, name


def test_third_party_metrics_are_listed_only_if_they_are_read() -> None:
    read = set().union(*(names() for names in READERS.values()))
    assert {metric.name for metric in EXPORTED if not read & set(series_of(metric))} == set()
