"""The operator measures pods of a service: it recommends better numbers, and shows overload."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fastapi_operator.cli.main import app
from fastapi_operator.observation import rejections, text
from fastapi_operator.observation.hours import Hour
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.loop import observer, overloads, steady
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from fastapi_operator.tuning import figures
from tests.api.clocks import jumping
from tests.api.metrics_page import serving
from tests.api.test_metrics_reader import start_pod
from tests.api.world import World, eventually

MIB = 2**20
READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:06Z"}
APP = {
    "name": "app",
    "restartCount": 0,
    "ready": True,
    "image": "",
    "imageID": "",
    "state": {"running": {"startedAt": "2026-01-01T00:00:02Z"}},
}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour passes in two seconds, any data are enough, and the system's clock jumps."""
    monkeypatch.setattr(steady, "time", jumping())
    monkeypatch.setattr(observer, "TICK_SECONDS", 0.1)
    monkeypatch.setattr(observer, "LOOK_SECONDS", 0.4)
    monkeypatch.setattr(observer, "WRITE_SECONDS", 2.0)
    monkeypatch.setattr(figures, "OBSERVED_SECONDS_MIN", 0)


class _Page:
    """The page of a pod of the app, and of one of the proxy."""

    reads = itertools.count(1)
    rejects = False
    rejected = 0

    @classmethod
    def text(cls) -> str:
        """Returns the page; with each read, there were more requests."""
        requests = 500_000 + 100 * next(cls.reads)
        if cls.rejects:
            cls.rejected += 20
        return (
            f"fastapi_proxy_request_duration_seconds_count {requests}\n"
            f'fastapi_proxy_shed_total{{reason="pods"}} {cls.rejected}\n'
            f"http_server_request_duration_seconds_count {requests}\n"
            f"fastapi_worker_cpu_seconds_total {requests / 1000}\n"
            "fastapi_worker_processes 1\n"
            f"fastapi_worker_resident_memory_bytes {88 * MIB}\n"
        )


@pytest.fixture
def pod(world: World) -> Iterator[str]:
    """A pod of the app that has run for months, and one of the proxy."""
    with serving(_Page.text) as port:
        start_pod(
            world,
            "shop-a",
            Part.APP,
            port=port,
            startTime="2026-01-01T00:00:00Z",
            conditions=[READY],
            containerStatuses=[APP],
        )
        start_pod(
            world,
            "shop-proxy-a",
            Part.PROXY,
            port=port,
            podIPs=[{"ip": "127.0.0.2"}],
            conditions=[READY],
            containerStatuses=[APP],
        )
        yield "shop-a"


def kept(world: World) -> dict[str, Any]:
    return world.get("configmaps", "shop-measurements") or {}


def day(world: World) -> Hour:
    return text.decode((kept(world).get("data") or {}).get("hours.json", "")).day


def recommendations(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.service()["status"].get("recommendations") or []
    return found


def test_measurements_are_kept_and_become_recommendations(world: World, pod: str) -> None:
    operator = world.start(build=build_desired_state)
    world.apply()
    world.until_ready()

    (found,) = eventually(lambda: recommendations(world))
    assert found["number"] == "compute.memory_limit_bytes"
    assert (found["now"], found["better"]) == ("256Mi", "160Mi")
    body, service = kept(world), world.service()
    assert body["metadata"]["ownerReferences"][0]["uid"] == service["metadata"]["uid"]
    measured = yaml.safe_load(body["data"]["measurements.yaml"])
    assert measured["service"] == f"{world.namespace}/shop"
    assert measured["startSeconds"] == 4
    assert measured["figures"]["workerMemoryBytes"]["value"] == pytest.approx(88 * MIB, rel=1e-3)

    command = ["recommend", "shop", "-n", world.namespace]
    done = CliRunner().invoke(app, command, env={"KUBECONFIG": str(world.kubeconfig)})
    assert "compute.memory_limit_bytes" in done.stdout
    assert "measured by the operator until" in done.stderr

    # Another process continues. At rest, it writes nothing but the summary.
    operator.stop()
    before, since = day(world), world.mark()
    world.start(build=build_desired_state)
    eventually(lambda: day(world).requests > before.requests)
    assert day(world).seconds > before.seconds
    assert set(world.writes(since)) == {"patch configmaps/shop-measurements"}
    assert recommendations(world) == [found]

    world.apply(tuning={"mode": "Disabled"})
    eventually(lambda: not kept(world) and not recommendations(world))


def test_a_service_that_rejects_requests_stays_ready_with_a_condition(
    world: World, pod: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (rejections, overloads):
        monkeypatch.setattr(module, "GAP_SECONDS_MAX", 3.0)
    operator = world.start(build=build_desired_state)
    world.apply()
    world.until_ready()

    def overloaded() -> tuple[str | None, str | None]:
        found = world.condition("Overloaded")
        return found.get("status"), found.get("reason")

    eventually(lambda: overloaded() == ("False", "FewRejected"))
    monkeypatch.setattr(_Page, "rejects", True)
    eventually(lambda: overloaded() == ("True", "RejectedByProxy"))
    message = world.condition("Overloaded")["message"]
    assert message.startswith("the proxy rejected ")
    assert "processes of the app rejected 0 of " in message
    assert "raise spec.scaling.minReplicas (2)" in message
    assert world.is_ready()
    shown = CliRunner().invoke(
        app, ["status", "shop", "-n", world.namespace], env={"KUBECONFIG": str(world.kubeconfig)}
    )
    assert "overloaded: the proxy rejected " in shown.stdout

    # Another process keeps the condition until it has measured, or until it is old.
    operator.stop()
    for name in (pod, "shop-proxy-a"):
        path = f"{world.path('pods', name)}?gracePeriodSeconds=0"
        world.kube.request("DELETE", path)
    world.start(build=build_desired_state)
    assert overloaded() == ("True", "RejectedByProxy")
    eventually(lambda: overloaded() == ("Unknown", "NotMeasured"))
    assert world.is_ready()
