"""The objects that one cluster needs once for all services: rules, dashboards, a monitor.

The operator's chart renders the same; ``fastapi-operator monitoring`` prints them for those who
install without Helm.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from fastapi_operator.observability import grafana
from fastapi_operator.observability.alerts import catalog
from fastapi_operator.observability.dashboards import DASHBOARDS
from fastapi_operator.settings import Settings

NAMESPACE = "fastapi-operator-system"
NAME = "fastapi-operator"
_SELECTOR = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/instance": NAME}
_MONITORING = "monitoring.coreos.com/v1"


class Shared(StrEnum):
    """What there is to install."""

    RULES = "rules"
    MONITORS = "monitors"
    DASHBOARDS = "dashboards"
    GRAFANA_DASHBOARDS = "grafana-dashboards"


def objects(
    kinds: Iterable[Shared],
    *,
    namespace: str = NAMESPACE,
    labels: Mapping[str, str] | None = None,
    runbooks: str | None = None,
) -> Iterator[dict[str, Any]]:
    """The objects of some kinds, in the order of the kinds.

    Args:
        kinds: What is wanted.
        namespace: Where all of them live.
        labels: Labels that Prometheus or Grafana selects by.
        runbooks: Where the pages of docs/runbooks are read. Default: the settings'.
    """
    where = (runbooks or Settings().runbooks).rstrip("/")
    for kind in kinds:
        for body in _BUILDERS[kind](where):
            body["metadata"] = {
                "name": body["metadata"]["name"],
                "namespace": namespace,
                "labels": {**_SELECTOR, **body["metadata"].get("labels", {}), **(labels or {})},
            }
            yield body


def _rules(runbooks: str) -> Iterator[dict[str, Any]]:
    yield {
        "apiVersion": _MONITORING,
        "kind": "PrometheusRule",
        "metadata": {"name": NAME},
        "spec": {"groups": catalog.groups(runbooks)},
    }


def _monitors(_runbooks: str) -> Iterator[dict[str, Any]]:
    endpoint = {"port": "metrics", "path": "/metrics", "interval": "30s", "honorLabels": True}
    yield {
        "apiVersion": _MONITORING,
        "kind": "ServiceMonitor",
        "metadata": {"name": NAME},
        "spec": {"selector": {"matchLabels": dict(_SELECTOR)}, "endpoints": [endpoint]},
    }


def _dashboards(runbooks: str) -> Iterator[dict[str, Any]]:
    for dashboard in DASHBOARDS:
        # One line: an annotation with the last applied object holds at most 256 KiB.
        text = json.dumps(
            dashboard.model(runbooks=runbooks), separators=(",", ":"), ensure_ascii=False
        )
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"{NAME}-dashboard-{dashboard.name}",
                "labels": dict(grafana.SIDECAR_LABEL),
            },
            "data": {f"{dashboard.name}.json": text},
        }


def _grafana_dashboards(_runbooks: str) -> Iterator[dict[str, Any]]:
    for dashboard in DASHBOARDS:
        name = f"{NAME}-dashboard-{dashboard.name}"
        yield grafana.reference(name, config_map=name, key=f"{dashboard.name}.json")


_BUILDERS = {
    Shared.RULES: _rules,
    Shared.MONITORS: _monitors,
    Shared.DASHBOARDS: _dashboards,
    Shared.GRAFANA_DASHBOARDS: _grafana_dashboards,
}
