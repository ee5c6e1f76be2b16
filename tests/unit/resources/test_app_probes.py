"""Probes as they are rendered, sent to real apps."""

import http.client
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.unit.resources.operands import container, wanted
from tests.unit.resources.raw import served

PATHS = {"startup": "/health", "readiness": "/health", "liveness": "/health"}


def probes(**spec: Any) -> list[dict[str, Any]]:
    """The HTTP requests of the kubelet to the app."""
    found = container(wanted(redis=None, postgres=None, **spec), "Deployment/shop", "app")
    kinds = ("startupProbe", "readinessProbe", "livenessProbe")
    return [found[kind]["httpGet"] for kind in kinds]


def status(port: int, probe: dict[str, Any]) -> int:
    headers = {item["name"]: item["value"] for item in probe.get("httpHeaders", ())}
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(client):
        client.request("GET", probe["path"], headers=headers)
        return client.getresponse().status


@pytest.mark.parametrize(
    "exposure",
    [
        {"hosts": ["shop.example.com"], "gateway": {"name": "public"}},
        {"hosts": ["*.shops.example"], "gateway": {"name": "public"}},
    ],
)
def test_an_app_that_refuses_hosts_and_redirects_accepts_the_probes(
    tmp_path: Path, exposure: dict[str, Any]
) -> None:
    spec = {"server": {"probes": PATHS}, "exposure": exposure}
    with served(tmp_path / "log", "strict:app", **spec) as port:
        assert [status(port, probe) for probe in probes(**spec)] == [200] * 3
        assert status(port, {"path": "/health"}) == 400


def test_a_probe_has_the_host_of_the_spec() -> None:
    (probe, *_) = probes(server={"probes": PATHS | {"host": "localhost:8000"}})
    assert probe["httpHeaders"] == [{"name": "Host", "value": "localhost:8000"}]
    assert "httpHeaders" not in probes(server={"probes": PATHS})[0]
