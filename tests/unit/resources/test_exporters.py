"""The exporters: which parts have one, and its permissions."""

from typing import Any

import pytest

from fastapi_operator.facts import POD_MONITOR, PROMETHEUS_RULE, SERVICE_MONITOR, Facts
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import service

ALL = {"postgres": {}, "redis": {}, "queue": {}}
EXPORTERS = {
    "postgres-exporter": "shop-postgres",
    "pgbouncer-exporter": "shop-pooler",
    "redis-exporter": "shop-queue",
}


def built(*apis: str, **spec: Any) -> tuple[Desired, ...]:
    given, settings, facts = service(**{**ALL, **spec}), Settings(), Facts(apis=frozenset(apis))
    return build(given, derive(given, settings, facts), settings, facts)


def exporters(objects: tuple[Desired, ...]) -> dict[str, dict[str, Any]]:
    """The exporters by name, of one pod each."""
    pods = [
        item.body["spec"]["template"]["spec"]
        for item in objects
        if item.key.kind in ("Deployment", "StatefulSet")
    ]
    sidecars = [sidecar for pod in pods for sidecar in pod.get("initContainers", ())]
    return {sidecar["name"]: sidecar for sidecar in sidecars if sidecar["name"] in EXPORTERS}


@pytest.mark.parametrize(
    ("apis", "metrics", "are_there"),
    [
        pytest.param((POD_MONITOR,), {}, True, id="if the cluster serves PodMonitors"),
        pytest.param((), {}, False, id="not without PodMonitors"),
        pytest.param((), {"exporters": True}, True, id="if the spec requests them"),
        pytest.param((POD_MONITOR,), {"exporters": False}, False, id="not against the spec"),
        pytest.param((POD_MONITOR,), {"enabled": False}, True, id="beside an app that has none"),
    ],
)
def test_exporters_run(apis: tuple[str, ...], metrics: dict[str, Any], are_there: bool) -> None:
    found = exporters(built(*apis, observability={"metrics": metrics}))
    assert set(found) == (set(EXPORTERS) if are_there else set())


def test_an_app_without_metrics_has_no_monitor_and_its_parts_have_one() -> None:
    apis = (POD_MONITOR, SERVICE_MONITOR, PROMETHEUS_RULE)
    observability = {"metrics": {"enabled": False}, "slo": {"availabilityPercent": "99.9"}}
    kinds = [item.key.kind for item in built(*apis, observability=observability)]
    # Its promise is measured by nginx.
    assert kinds.count("PodMonitor") == kinds.count("PrometheusRule") == 1
    assert "ServiceMonitor" not in kinds


def test_an_exporter_keeps_its_password_off_the_command_line_and_fails_alone() -> None:
    for name, sidecar in exporters(built(POD_MONITOR)).items():
        assert sidecar["restartPolicy"] == "Always"
        assert not {"startupProbe", "readinessProbe", "livenessProbe"} & set(sidecar), name
        assert "$(" not in " ".join(sidecar["command"])
        secrets = [v["valueFrom"] for v in sidecar.get("env", ()) if "valueFrom" in v]
        keys = [secret["secretKeyRef"]["key"] for secret in secrets]
        assert keys == ["monitor"], name


def test_the_exporter_of_redis_connects_to_no_server_that_a_client_names() -> None:
    variables = exporters(built(POD_MONITOR))["redis-exporter"]["env"]
    assert {"name": "REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT", "value": "true"} in variables


@pytest.mark.parametrize(("engine", "port"), [("Nginx", "metrics"), ("Caddy", "private")])
def test_the_proxy_needs_no_exporter_and_a_port_of_it_is_scraped(engine: str, port: str) -> None:
    objects = built(POD_MONITOR, proxy={"engine": engine})
    (monitor,) = [item for item in objects if item.key.kind == "PodMonitor"]
    ports = [endpoint["port"] for endpoint in monitor.body["spec"]["podMetricsEndpoints"]]
    assert sorted({"metrics", port}) == ports


def test_a_monitor_names_only_existing_ports() -> None:
    bare = dict.fromkeys(("redis", "queue", "postgres"), None)
    metrics = {"observability": {"metrics": {"enabled": False}}}
    for proxy, ports in ({"engine": "Caddy"}, ["private"]), ({"engine": "Nginx"}, ["metrics"]):
        objects = built(POD_MONITOR, proxy=proxy, **bare, **metrics)
        (monitor,) = [item for item in objects if item.key.kind == "PodMonitor"]
        assert [end["port"] for end in monitor.body["spec"]["podMetricsEndpoints"]] == ports
