"""The monitoring objects that a cluster needs once: rules, dashboards and a monitor.

The operator's chart renders the same objects. ``fastapi-operator monitoring`` prints them for
installations without Helm.
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
    """A kind of shared object."""

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
    """Returns the objects of some kinds, in the order of the kinds.

    Args:
        kinds: The requested kinds.
        namespace: The namespace of all of them.
        labels: Labels by which Prometheus or Grafana selects objects.
        runbooks: URL of the pages of docs/runbooks. Default: the value of the settings.
    """
    url = (runbooks or Settings().runbooks).rstrip("/")
    for kind in kinds:
        for body in _BUILDERS[kind](url):
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
        # One line, because the annotation with the last applied object is limited to 256 KiB.
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
