"""Dashboards as data: a dashboard has rows, a row has panels, a panel has queries.

Grafana's JSON is written only from these classes. Every dashboard therefore has a templated data
source and a stable uid, and every panel a unit and a description.
"""

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi_operator import naming
from fastapi_operator.observability.metrics import Unit

# As written by Grafana 12; releases from 10.4 on support every field used here.
_SCHEMA_VERSION = 41
_WIDTH = 24
# An axis reaches at least so far. Without it, Grafana draws zeros on an axis up to 100, which is
# 10,000 % of a ratio.
_REACH = {
    Unit.NONE: 1.0,
    Unit.SECONDS: 0.001,
    Unit.BYTES: 2.0**20,
    Unit.PER_SECOND: 0.1,
    Unit.REQUESTS_PER_SECOND: 1.0,
    Unit.RATIO: 0.01,
}
# So that the line of the largest threshold is below the upper edge.
_ABOVE_THRESHOLD = 1.1
_UID_LENGTH = 40
# The sidecar of Grafana's chart selects ConfigMaps with dashboards by this label.
SIDECAR_LABEL = {"grafana_dashboard": "1"}
# The Grafana operator selects the Grafana instance by this label, as in its own examples.
INSTANCE_LABELS = {"dashboards": "grafana"}
_TAG = "fastapi-operator"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Query:
    """A PromQL expression and the names of its series.

    Attributes:
        expression: The query.
        legend: The name of each of its series, with labels in double braces.
        line: Whether it is a planned value or a bound, drawn as a dashed line.
    """

    expression: str
    legend: str
    line: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        label: The label that it shows, or ``Value``.
        title: Its title.
        width: Its width in pixels; 0 shares the rest.
    """

    label: str
    title: str
    width: int = 0


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        title: Its title.
        text: Its description: how to react to the values. Grafana shows it beside the title.
        unit: Unit of its values.
        queries: Its queries.
        kind: Grafana's name of the visualisation.
        width: Its width, in the 24 columns of the grid.
        bounds: The thresholds: first yellow, then red.
        low: Whether small values are the critical ones.
        most: The largest possible value, if there is one.
        reach: The axis reaches at least this value, also if all values are small. Default: the
            largest threshold, else that of the unit.
        columns: The columns of a table, from left to right.
        empty: The panel's text if there are no series, which is better than "No data".
    """

    title: str
    text: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat", "bargauge", "table"] = "timeseries"
    width: int = 8
    bounds: tuple[float, ...] = ()
    low: bool = False
    most: float | None = None
    reach: float | None = None
    columns: tuple[Column, ...] = ()
    empty: str = ""


@dataclass(frozen=True)
class Row:
    """Panels under one heading, all of one height in units of the grid."""

    title: str
    panels: tuple[Panel, ...]
    height: int = 8


@dataclass(frozen=True)
class Variable:
    """A variable of the dashboard, with the values of a label."""

    name: str
    title: str
    query: str
    several: bool = False


@dataclass(frozen=True)
class Annotation:
    """A mark over all panels whenever a query returns series."""

    title: str
    expression: str
    text: str
    colour: str


@dataclass(frozen=True)
class Dashboard:
    """A dashboard.

    Attributes:
        name: Name of its file and, prefixed with ``fastapi-operator-``, its uid.
        title: Its title.
        text: Its purpose.
        variables: Its variables, each narrowed by the preceding ones.
        rows: Its rows, from top to bottom.
        annotations: Marks over all panels.
    """

    name: str
    title: str
    text: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    annotations: tuple[Annotation, ...] = ()

    def model(
        self, fixed: Mapping[str, str] | None = None, *, runbooks: str = ""
    ) -> dict[str, Any]:
        """The JSON model that Grafana imports.

        Args:
            fixed: Variables with a single value; the result is a separate dashboard.
            runbooks: URL of the pages of docs/runbooks; if empty, there is no link.
        """
        fixed = fixed or {}
        uid, title = f"{_TAG}-{self.name}", self.title
        if fixed:
            name = "/".join(fixed.values())
            uid, title = f"{uid}-{naming.content_hash(name)}", f"{title}: {name}"
        return {
            "uid": uid[:_UID_LENGTH],
            "title": title,
            "description": self.text,
            "tags": ["fastapi", _TAG],
            "schemaVersion": _SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "templating": {
                "list": [
                    _data_source(),
                    *(_variable(item, fixed.get(item.name)) for item in self.variables),
                ]
            },
            "annotations": {"list": [_annotation(item) for item in self.annotations]},
            "links": _links(runbooks),
            "panels": self._panels(),
        }

    def _panels(self) -> list[dict[str, Any]]:
        panels: list[dict[str, Any]] = []
        top = 0
        for row in self.rows:
            panels.append(_row(len(panels) + 1, row, top))
            top += 1
            left = 0
            for panel in row.panels:
                if left + panel.width > _WIDTH:
                    left, top = 0, top + row.height
                place = {"x": left, "y": top, "w": panel.width, "h": row.height}
                panels.append(_panel(len(panels) + 1, panel, place))
                left += panel.width
            top += row.height
        return panels


def reference(name: str, *, config_map: str, key: str) -> dict[str, Any]:
    """A GrafanaDashboard of the Grafana operator that refers to a ConfigMap with the model."""
    return {
        "apiVersion": "grafana.integreatly.org/v1beta1",
        "kind": "GrafanaDashboard",
        "metadata": {"name": name},
        "spec": {
            "instanceSelector": {"matchLabels": dict(INSTANCE_LABELS)},
            "allowCrossNamespaceImport": True,
            "configMapRef": {"name": config_map, "key": key},
        },
    }


def _data_source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    }


def _variable(variable: Variable, value: str | None) -> dict[str, Any]:
    named = {"name": variable.name, "label": variable.title}
    if value is not None:
        # Hidden, because there is only one value.
        return {**named, "type": "constant", "query": value, "hide": 2}
    return {
        **named,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "multi": variable.several,
        "includeAll": variable.several,
        # "All" also matches series without the label.
        **({"allValue": ".*"} if variable.several else {}),
    }


def _annotation(annotation: Annotation) -> dict[str, Any]:
    return {
        "name": annotation.title,
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": annotation.colour,
        "expr": annotation.expression,
        "step": "60s",
        "titleFormat": annotation.title,
        "textFormat": annotation.text,
    }


def _links(runbooks: str) -> list[dict[str, Any]]:
    links: list[dict[str, Any]] = [
        {
            "type": "dashboards",
            "title": "FastAPI",
            "tags": [_TAG],
            "includeVars": True,
            "keepTime": True,
        }
    ]
    if runbooks:
        links.append({"type": "link", "title": "Runbooks", "url": runbooks, "targetBlank": True})
    return links


def _row(number: int, row: Row, top: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "row",
        "title": row.title,
        "collapsed": False,
        "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1},
        "panels": [],
    }


def _panel(number: int, panel: Panel, place: Mapping[str, int]) -> dict[str, Any]:
    limits = {"min": 0} | ({"max": panel.most} if panel.most is not None else {})
    transformations = [_organized(panel.columns)] if panel.kind == "table" else []
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "gridPos": dict(place),
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit.value,
                **limits,
                **({"noValue": panel.empty} if panel.empty else {}),
                **_thresholds(panel),
                **({"custom": _axis(panel)} if panel.kind == "timeseries" else {}),
            },
            "overrides": [
                *(
                    _dashed(letter)
                    for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False)
                    if query.line
                ),
                *(_wide(column) for column in panel.columns if column.width),
            ],
        },
        "options": _OPTIONS[panel.kind],
        **({"transformations": transformations} if transformations else {}),
        "targets": [
            _target(letter, query, panel.kind)
            for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False)
        ],
    }


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "value",
        "graphMode": "none",
        "reduceOptions": {"calcs": ["lastNotNull"]},
    },
    "bargauge": {
        "displayMode": "basic",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"]},
        "showUnfilled": True,
        "valueMode": "color",
    },
    "table": {"showHeader": True},
}


def _thresholds(panel: Panel) -> dict[str, Any]:
    if not panel.bounds:
        return {}
    colours = ["green", "yellow", "red"][: len(panel.bounds) + 1]
    if panel.low:
        colours.reverse()
    steps = [
        {"color": colour, "value": value}
        for colour, value in zip(colours, (None, *sorted(panel.bounds)), strict=True)
    ]
    return {"thresholds": {"mode": "absolute", "steps": steps}}


def _axis(panel: Panel) -> dict[str, Any]:
    """The axis of a time series, and a line at each of its thresholds."""
    lines = {"thresholdsStyle": {"mode": "line"}} if panel.bounds else {}
    if panel.most is not None:
        return lines
    largest = max(panel.bounds, default=0) * _ABOVE_THRESHOLD
    return {"axisSoftMax": panel.reach or largest or _REACH[panel.unit], **lines}


def _organized(columns: Iterable[Column]) -> dict[str, Any]:
    """Titles and order of the columns of a table; its time and an unnamed value are excluded."""
    titles = {column.label: column.title for column in columns}
    return {
        "id": "organize",
        "options": {
            "excludeByName": {name: True for name in ("Time", "Value") if name not in titles},
            "indexByName": {name: position for position, name in enumerate(titles)},
            "renameByName": titles,
        },
    }


def _wide(column: Column) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": column.title},
        "properties": [{"id": "custom.width", "value": column.width}],
    }


def _dashed(letter: str) -> dict[str, Any]:
    return {
        "matcher": {"id": "byFrameRefID", "options": letter},
        "properties": [
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 10]}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "color", "value": {"mode": "fixed", "fixedColor": "text"}},
        ],
    }


def _target(letter: str, query: Query, kind: str) -> dict[str, Any]:
    return {
        "refId": letter,
        "datasource": _SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        # A table or a number shows the current value, not the range.
        **({"instant": True, "range": False} if kind != "timeseries" else {}),
        **({"format": "table"} if kind == "table" else {}),
    }
