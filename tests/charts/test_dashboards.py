"""Dashboards use metrics that exist, and each panel explains its data and the action to take."""

import importlib.util
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from fastapi_operator.observability.alerts.catalog import ALERTS
from fastapi_operator.observability.dashboards import DASHBOARDS, SERVICE
from fastapi_operator.observability.exported import EXPORTED
from fastapi_operator.observability.grafana import Dashboard, Panel, Query
from fastapi_operator.observability.metrics import METRICS, Kind, Metric, Source, Unit
from fastapi_operator.observability.planned import PLANNED
from fastapi_operator.reconcile.loop.telemetry import Telemetry
from fastapi_operator.settings import Settings
from tests.charts.conftest import ROOT
from tests.judges import grafana

RUNBOOKS = ROOT / "docs/runbooks"
# Labels of every scrape, and those that rules give their own series.
_SCRAPE_LABELS = {
    "namespace",
    "pod",
    "le",
    "fastapi_operator_io_service",
    "app_kubernetes_io_component",
}
# Made by Prometheus itself, and by the rules of a promise.
_PROMETHEUS = {"up", "ALERTS"}
_RECORDED = re.compile(r"^fastapi_service:")
# Variables that Grafana sets itself.
_OF_GRAFANA = {"__interval", "__range", "__rate_interval"}
# kubectl apply copies the object into an annotation, which is limited to 256 KiB.
_MOST_BYTES = 200 * 1024


def _panels(dashboard: Dashboard) -> Iterator[Panel]:
    for row in dashboard.rows:
        yield from row.panels


def _queries() -> Iterator[Any]:
    for dashboard in DASHBOARDS:
        for panel in _panels(dashboard):
            for query in panel.queries:
                name = f"{dashboard.name}: {panel.title}: {query.legend}"
                yield pytest.param(panel, query, id=name)


def series_of(metric: Metric) -> list[str]:
    """The names under which a metric is stored."""
    if metric.kind is Kind.HISTOGRAM:
        return [f"{metric.name}_{part}" for part in ("bucket", "count", "sum")]
    return [metric.series]


SERIES = {name: metric for metric in (*METRICS, *EXPORTED) for name in series_of(metric)}


def used_in(expression: str) -> set[str]:
    """Returns the series that a query reads: names before braces or a range, or by themselves."""
    text = re.sub(r'"[^"]*"', '""', expression)
    text = re.sub(r"\b(?:by|on|group_left|ignoring)\s*\([^)]*\)", " ", text)
    text = re.sub(r"\{[^}]*\}", " ", text)
    text = re.sub(r"\[[^\]]*\]", " ", text)
    names = set(re.findall(r"[A-Za-z_][A-Za-z0-9_:]*(?!\s*\()\b", text))
    functions = set(re.findall(r"([a-z_0-9]+)\s*\(", text))
    words = {"and", "or", "unless", "offset", "sum", "max", "min", "count", "group", "bool"}
    return {name for name in names - functions - words if "_" in name or name in _PROMETHEUS}


def _exposed(registry: CollectorRegistry) -> dict[str, tuple[str, tuple[str, ...], str]]:
    collectors = set(registry._collector_to_names)
    return {
        metric._name: (metric._type, tuple(metric._labelnames), metric._documentation)
        for metric in collectors
        if hasattr(metric, "_labelnames")
    }


def _runtime_metrics() -> Any:
    """Loads only the runtime's module: the package belongs to the app's environment."""
    path = ROOT / "runtime/fastapi_operator_runtime/metrics.py"
    spec = importlib.util.spec_from_file_location("runtime_metrics", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("source", [Source.APP, Source.OPERATOR])
def test_the_table_lists_the_exposed_metrics_with_their_help(source: Source) -> None:
    if source is Source.OPERATOR:
        registry = Telemetry().registry
    else:
        registry = CollectorRegistry()
        _runtime_metrics().Instruments(registry)
    table = {
        metric.name: (metric.kind.value, metric.labels, metric.text)
        for metric in METRICS
        if metric.source is source
    }
    assert table == _exposed(registry)


def _check_expression(expression: str) -> None:
    used = {name for name in used_in(expression) if not _RECORDED.match(name)}
    assert used <= set(SERIES) | _PROMETHEUS, used - set(SERIES)
    assert used or "fastapi_service:" in expression
    for name in used - _PROMETHEUS:
        if SERIES[name].kind is not Kind.GAUGE:
            # The value of a counter has no meaning; its rate has.
            within = rf"(?:rate|increase)\({re.escape(name)}\b"
            assert re.search(within, expression), f"{name} is a counter"
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize(("panel", "query"), list(_queries()))
def test_a_query_names_series_of_the_table(panel: Panel, query: Query) -> None:
    _check_expression(query.expression)
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        # Each name in the legend is one that the query keeps.
        kept = re.findall(r"by \(([^)]*)\)|group_left \(([^)]*)\)", query.expression)
        named = {item.strip() for pair in kept for group in pair for item in group.split(",")}
        assert label in named or "bottomk" in query.expression, f"{panel.title}: {label}"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_names_series_of_the_table(alert: Any) -> None:
    _check_expression(alert.expression)


def test_every_planned_value_is_shown_or_alerts() -> None:
    text = "\n".join(query.values[1].expression for query in _queries())
    text += "\n".join(alert.expression for alert in ALERTS)
    assert {name for name in PLANNED if f'decision="{name}"' in text} == PLANNED


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_a_dashboard_is_fixed_templated_and_small(dashboard: Dashboard) -> None:
    model = dashboard.model()
    assert len(model["uid"]) <= 40
    assert model["editable"] is False
    variables = {variable["name"]: variable for variable in model["templating"]["list"]}
    assert next(iter(variables)) == "datasource"
    asked = set(re.findall(r"\$(\w+)", json.dumps(model["panels"]))) - _OF_GRAFANA
    assert asked <= set(variables)
    assert set(variables) - {"datasource"} <= asked
    assert json.loads(json.dumps(model)) == model
    assert len(json.dumps(model)) < _MOST_BYTES


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_a_panel_has_an_action_and_a_unit(dashboard: Dashboard) -> None:
    model = dashboard.model()
    assert len({panel["id"] for panel in model["panels"]}) == len(model["panels"])
    titles = [panel["title"] for panel in model["panels"]]
    assert len(set(titles)) == len(titles)
    for panel in model["panels"]:
        if panel["type"] == "row":
            continue
        assert len(panel["description"].split()) >= 8, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in set(Unit)
        assert panel["datasource"]["uid"] == "${datasource}"
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters) == len(set(letters) - {""})
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["legendFormat"]
            assert target.get("instant", False) == (panel["type"] != "timeseries")


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_a_table_has_a_title_for_each_label_that_its_query_keeps(dashboard: Dashboard) -> None:
    for panel in _panels(dashboard):
        kept = {
            label
            for query in panel.queries
            for labels in re.findall(r"(?:sum|max) by \(([^)]*)\)", query.expression)
            for label in labels.split(", ")
        }
        named = {column.label for column in panel.columns} - {"Value"}
        assert named == (kept if panel.kind == "table" else set()), panel.title


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_runbooks_that_panels_name_exist(dashboard: Dashboard) -> None:
    for panel in _panels(dashboard):
        for page in re.findall(r"runbook ([a-z-]+)", panel.text):
            assert (RUNBOOKS / f"{page}.md").exists(), f"{panel.title}: {page}"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_thresholds_rise_and_colour_the_bad_side(dashboard: Dashboard) -> None:
    by_title = {panel["title"]: panel for panel in dashboard.model()["panels"]}
    for panel in _panels(dashboard):
        defaults = by_title[panel.title]["fieldConfig"]["defaults"]
        if not panel.bounds:
            assert "thresholds" not in defaults
            continue
        steps = defaults["thresholds"]["steps"]
        values = [step["value"] for step in steps]
        assert values[0] is None
        assert values[1:] == sorted(values[1:])
        assert steps[-1 if panel.low else 0]["color"] == "green"
        if panel.most is not None:
            assert values[-1] <= panel.most


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_planned_values_are_dashed(dashboard: Dashboard) -> None:
    by_title = {panel["title"]: panel for panel in dashboard.model()["panels"]}
    for panel in _panels(dashboard):
        dashed = {
            override["matcher"]["options"]
            for override in by_title[panel.title]["fieldConfig"]["overrides"]
            if override["matcher"]["id"] == "byFrameRefID"
        }
        wanted = {
            target["refId"]
            for target, query in zip(by_title[panel.title]["targets"], panel.queries, strict=True)
            if query.line
        }
        assert dashed == wanted
        for query in panel.queries:
            planned = query.legend.startswith("planned")
            assert query.line or not planned, f"{panel.title}: {query.legend}"


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


# The data source's own fields of a mark, which Grafana hands to it as they are.
_OF_THE_SOURCE = {"step", "titleFormat", "textFormat"}


def _not_understood(model: Any, read: Any, where: str = "") -> Iterator[str]:
    if isinstance(model, dict):
        for name, value in model.items():
            if name not in read:
                if value is not None and name not in _OF_THE_SOURCE:
                    yield f"{where}.{name}"
            else:
                yield from _not_understood(value, read[name], f"{where}.{name}")
    elif isinstance(model, list):
        for number, (ours, theirs) in enumerate(zip(model, read, strict=True)):
            yield from _not_understood(ours, theirs, f"{where}[{number}]")
    elif model != read:
        yield f"{where}: {model!r} is read as {read!r}"


@pytest.mark.parametrize("release", grafana.RELEASES)
@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_each_release_understands_every_field(dashboard: Dashboard, release: str) -> None:
    model = dashboard.model(runbooks=Settings().runbooks)
    assert list(_not_understood(model, grafana.read(model, release))) == []


def test_dashboards_lead_to_each_other_and_to_the_runbooks() -> None:
    assert len({dashboard.model()["uid"] for dashboard in DASHBOARDS}) == len(DASHBOARDS)
    for dashboard in DASHBOARDS:
        others, runbooks = dashboard.model(runbooks=Settings().runbooks)["links"]
        assert set(others["tags"]) <= set(dashboard.model()["tags"])
        assert others["includeVars"]
        assert runbooks["url"] == Settings().runbooks


def test_rollouts_and_migrations_are_marked() -> None:
    marks = {mark["name"]: mark["expr"] for mark in SERVICE.model()["annotations"]["list"]}
    assert set(marks) == {"Rollout", "Canary", "Canary not released", "Migration"}
    for expression in marks.values():
        _check_expression(expression)


def test_a_services_own_dashboard_needs_no_choice() -> None:
    shop, cart = (
        SERVICE.model({"namespace": "team", "service": name}) for name in ("shop", "cart")
    )
    assert len({model["uid"] for model in (shop, cart, SERVICE.model())}) == 3
    assert shop["title"] == "FastAPI service: team/shop"
    fixed = {
        variable["name"]: variable["query"]
        for variable in shop["templating"]["list"]
        if variable["type"] == "constant"
    }
    assert fixed == {"namespace": "team", "service": "shop"}
    assert shop["panels"] == SERVICE.model()["panels"]
