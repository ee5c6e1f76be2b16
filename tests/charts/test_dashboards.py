"""Dashboards use metrics that exist, and each panel says what it shows."""

import importlib.util
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fastapi_operator.observability.dashboards import DASHBOARDS
from fastapi_operator.observability.grafana import Dashboard, Query
from fastapi_operator.observability.metrics import METRICS, Kind, Source
from fastapi_operator.reconcile.telemetry import Telemetry
from tests.charts.conftest import ROOT

_OWN = r"\b(?:http|db|fastapi)_[a-z_]+"
_SCRAPE_LABELS = {"namespace", "pod", "le", "fastapi_operator_io_service"}


def _queries() -> Iterator[tuple[str, Query]]:
    for dashboard in DASHBOARDS:
        for row in dashboard.rows:
            for panel in row.panels:
                for query in panel.queries:
                    yield panel.title, query


def _exposed(registry: CollectorRegistry) -> dict[str, tuple[str, tuple[str, ...]]]:
    collectors = set(registry._collector_to_names)
    return {
        metric._name: (metric._type, tuple(metric._labelnames))
        for metric in collectors
        if hasattr(metric, "_labelnames")
    }


def _runtime_metrics() -> Any:
    """The runtime's module alone: the package belongs to the app's environment, not to ours."""
    path = ROOT / "runtime/fastapi_operator_runtime/metrics.py"
    spec = importlib.util.spec_from_file_location("runtime_metrics", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("source", Source)
def test_the_table_is_what_is_exposed(source: Source) -> None:
    if source is Source.OPERATOR:
        registry = Telemetry().registry
    else:
        registry = CollectorRegistry()
        _runtime_metrics().Instruments(registry)
    table = {
        metric.name: (metric.kind.value, metric.labels)
        for metric in METRICS
        if metric.source is source
    }
    assert table == _exposed(registry)


@pytest.mark.parametrize(("panel", "query"), list(_queries()))
def test_a_query_names_series_and_labels_of_the_table(panel: str, query: Query) -> None:
    series = {
        name: metric
        for metric in METRICS
        for name in (
            [f"{metric.name}_bucket", f"{metric.name}_count", f"{metric.name}_sum"]
            if metric.kind is Kind.HISTOGRAM
            else [metric.series]
        )
    }
    labels = {label for metric in METRICS for label in metric.labels} | _SCRAPE_LABELS
    used = set(re.findall(_OWN, query.expression)) - labels
    assert used
    assert used <= set(series)
    grouped = re.findall(r"by \(([^)]*)\)", query.expression)
    named = {label.strip() for group in grouped for label in group.split(",")}
    allowed = {label for name in used for label in series[name].labels} | _SCRAPE_LABELS
    assert named <= allowed
    for name in used:
        if series[name].kind is not Kind.GAUGE:
            # A counter's value says nothing; its rate does.
            assert f"rate({name}" in query.expression
    assert query.expression.count("(") == query.expression.count(")")


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_a_dashboard_is_fixed_templated_and_explained(dashboard: Dashboard) -> None:
    model = dashboard.model()
    assert len(model["uid"]) <= 40
    assert model["editable"] is False
    variables = [variable["name"] for variable in model["templating"]["list"]]
    assert variables[:3] == ["datasource", "namespace", "service"]
    panels = [panel for panel in model["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in model["panels"]}) == len(model["panels"])
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
    assert json.loads(json.dumps(model)) == model


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_panels_do_not_overlap(dashboard: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard.model()["panels"]:
        place: dict[str, Any] = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
