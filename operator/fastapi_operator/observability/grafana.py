"""Dashboards as data: a dashboard has rows, a row has panels, a panel has queries.

Grafana's JSON is written from these alone, so that no dashboard can lack what each must have: a
templated data source, a stable uid, a unit and a description on each panel.
"""

from dataclasses import dataclass
from typing import Any

from fastapi_operator.observability.metrics import Unit

# What Grafana 12 writes; older releases read it and ignore what they do not know.
_SCHEMA_VERSION = 41
_WIDTH = 24
_PANEL_HEIGHT = 8
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Query:
    """A PromQL expression and how its series are called in the legend."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        title: What it shows.
        text: What to read from it; shown beside the title.
        unit: Unit of its values.
        queries: What it draws.
        kind: Grafana's name of the visualisation.
        width: Columns of the grid's 24.
    """

    title: str
    text: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: str = "timeseries"
    width: int = 8


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A choice above the dashboard, made from a label's values."""

    name: str
    title: str
    query: str
    several: bool = False


@dataclass(frozen=True)
class Dashboard:
    """A dashboard.

    Attributes:
        name: Name of its file and, behind ``fastapi-operator-``, its uid.
        title: Its title.
        text: What it is for.
        variables: Choices above it, each narrowed by those before.
        rows: Its rows, from top to bottom.
    """

    name: str
    title: str
    text: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]

    def model(self) -> dict[str, Any]:
        """The JSON model that Grafana imports."""
        return {
            "uid": f"fastapi-operator-{self.name}",
            "title": self.title,
            "description": self.text,
            "tags": ["fastapi", "fastapi-operator"],
            "schemaVersion": _SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": [_data_source(), *map(_variable, self.variables)]},
            "annotations": {"list": []},
            "links": [],
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
                    left, top = 0, top + _PANEL_HEIGHT
                panels.append(_panel(len(panels) + 1, panel, left, top))
                left += panel.width
            top += _PANEL_HEIGHT
        return panels


def _data_source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
    }


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.title,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "multi": variable.several,
        "includeAll": variable.several,
        # "All" has to match series without the label as well.
        **({"allValue": ".*"} if variable.several else {}),
    }


def _row(number: int, row: Row, top: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "row",
        "title": row.title,
        "collapsed": False,
        "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1},
        "panels": [],
    }


def _panel(number: int, panel: Panel, left: int, top: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "gridPos": {"x": left, "y": top, "w": panel.width, "h": _PANEL_HEIGHT},
        "fieldConfig": {
            "defaults": {"unit": panel.unit.value, "min": 0},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
        if panel.kind == "timeseries"
        else {},
        "targets": [
            {
                "refId": chr(ord("A") + position),
                "datasource": _SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for position, query in enumerate(panel.queries)
        ],
    }
