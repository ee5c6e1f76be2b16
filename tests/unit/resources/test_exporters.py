"""The exporters: which parts have one, its permissions, and the log lines of nginx."""

import re
import socket
from typing import Any

import pytest

from fastapi_operator.facts import POD_MONITOR, PROMETHEUS_RULE, SERVICE_MONITOR, Facts
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.resources.nginx import Nginx
from tests.unit.resources.operands import eventually, files, wanted
from tests.unit.services import service

ALL = {"postgres": {}, "redis": {}, "queue": {}}
EXPORTERS = {
    "postgres-exporter": "shop-postgres",
    "pgbouncer-exporter": "shop-pooler",
    "redis-exporter": "shop-queue",
    "mtail": "shop-proxy",
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
        assert keys == ([] if name == "mtail" else ["monitor"]), name


def test_the_exporter_of_redis_connects_to_no_server_that_a_client_names() -> None:
    variables = exporters(built(POD_MONITOR))["redis-exporter"]["env"]
    assert {"name": "REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT", "value": "true"} in variables


def test_caddy_needs_no_exporter_and_its_private_port_is_scraped() -> None:
    objects = built(POD_MONITOR, proxy={"engine": "Caddy"})
    assert "mtail" not in exporters(objects)
    (monitor,) = [item for item in objects if item.key.kind == "PodMonitor"]
    ports = [endpoint["port"] for endpoint in monitor.body["spec"]["podMetricsEndpoints"]]
    assert ports == ["metrics", "private"]


def test_a_monitor_names_only_existing_ports() -> None:
    bare = dict.fromkeys(("redis", "queue", "postgres"), None)
    metrics = {"observability": {"metrics": {"enabled": False}}}
    for proxy, ports in ({"engine": "Caddy"}, ["private"]), ({"engine": "Nginx"}, ["metrics"]):
        objects = built(POD_MONITOR, proxy=proxy, **bare, **metrics)
        (monitor,) = [item for item in objects if item.key.kind == "PodMonitor"]
        assert [end["port"] for end in monitor.body["spec"]["podMetricsEndpoints"]] == ports


def test_the_exporter_reads_the_log_line_of_each_request(nginx: Nginx) -> None:
    observed = {"observability": {"metrics": {"exporters": True}}}
    program = files(wanted(**observed), "shop-proxy")["requests.mtail"]
    patterns = re.findall(r"^/(.*)/ \{$", program, re.MULTILINE)
    nginx.pod.port(5140)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader:
        reader.bind(("127.0.0.1", nginx.pod.port(5140)))
        reader.settimeout(5)
        with nginx.running(**observed):
            assert nginx.get("/items").status == 200
            line = reader.recv(4096).decode()
            request, cache, upstream = (re.search(p, line, re.MULTILINE) for p in patterns)
            assert request is not None
            assert (request["method"], request["status"]) == ("GET", "200")
            assert cache is None
            assert upstream is not None
            # nginx counts the two by two clocks, each in whole milliseconds.
            assert float(upstream["upstream"]) <= float(request["seconds"]) + 0.0011
            nginx.get("/healthz", 8081)
            nginx.get("/last")
            assert " 200 " in reader.recv(4096).decode(), "the kubelet's requests are not counted"
            reader.setblocking(False)
            with pytest.raises(BlockingIOError):
                reader.recv(4096)


def test_nginx_serves_without_a_running_exporter(nginx: Nginx) -> None:
    nginx.pod.port(5140)
    with nginx.running(observability={"metrics": {"exporters": True}}):
        for _ in range(5):
            assert nginx.get("/").status == 200
        eventually(lambda: len(nginx.log()) == 5, "all are in the log")
