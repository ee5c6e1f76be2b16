"""Pods whose memory grows are resized and evicted by requests that a real API server accepts.

The test plays the kubelet, which reports the limit in force. That a process gets it without a
restart is tested on a node, in tests/full/canary.
"""

import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator.reconcile.loop import leak_guard, steady
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api import test_access as access
from tests.api.clocks import jumping
from tests.api.kube import Kube, RefusedError
from tests.api.metrics_page import serving
from tests.api.running import RunningOperator
from tests.api.test_observation import APP, READY
from tests.api.world import World, eventually
from tests.cluster.apiserver import ApiServer

MIB = 2**20
# Seconds of the guard in a second of the test.
FASTER = 40.0
Series = Callable[[float], float]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty seconds pass in one, while the system's clock is set forward and back."""
    monkeypatch.setattr(steady, "time", jumping(faster=FASTER))
    monkeypatch.setattr(leak_guard, "TICK_SECONDS", 0.02)


@contextlib.contextmanager
def page_of(mebibytes: Series) -> Iterator[int]:
    """The metrics of a process, whose memory is a function of the time since it began."""
    begun, served = steady.now(), itertools.count(1)

    def page() -> str:
        return (
            f"http_server_request_duration_seconds_count {100 * next(served)}\n"
            "fastapi_worker_cpu_seconds_total 1\n"
            "fastapi_worker_processes 1\n"
            f"fastapi_worker_resident_memory_bytes {mebibytes(steady.now() - begun) * MIB}\n"
        )

    with serving(page) as port:
        yield port


def run_pod(world: World, name: str, port: int) -> None:
    """A ready pod of the app's template, which has run for months."""
    deployment = eventually(lambda: world.get("deployments", "shop"))
    (app, *_) = deployment["spec"]["template"]["spec"]["containers"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    container = {
        "name": "app",
        "image": "registry.test/shop:1",
        "resources": app["resources"],
        "ports": [{"name": "metrics", "containerPort": port}],
    }
    body = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [container]}}
    world.kube.request("POST", world.path("pods"), body)
    # Without resources in the status, the API server takes its kubelet for an old one.
    state = {**APP, "resources": app["resources"]}
    status = {
        "phase": "Running",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [READY],
        "containerStatuses": [state],
    }
    world.kube.patch(f"{world.path('pods', name)}/status", {"status": status})


@contextlib.contextmanager
def kubelet(world: World) -> Iterator[None]:
    """Applies larger limits."""
    over = threading.Event()

    def apply() -> None:
        while not over.wait(0.1):
            for body in world.kube.items(world.path("pods")):
                resources = body["spec"]["containers"][0]["resources"]
                (state,) = body["status"].get("containerStatuses") or [{}]
                if state and state["resources"] != resources:
                    states = [{**state, "resources": resources}]
                    path = f"{world.path('pods', body['metadata']['name'])}/status"
                    with contextlib.suppress(RefusedError):
                        world.kube.patch(path, {"status": {"containerStatuses": states}})

    thread = threading.Thread(target=apply)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def limit(world: World, pod: str) -> str | None:
    body = world.get("pods", pod)
    if body is None:
        return None
    found: str = body["spec"]["containers"][0]["resources"]["limits"]["memory"]
    return found


def leak(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.service()["status"].get("leak") or {}
    return found


def is_in(world: World, state: str) -> bool:
    return leak(world).get("state") == state


def reasons(world: World) -> list[str]:
    return [event["reason"] for event in world.kube.items(world.path("events"))]


def permit_evictions(world: World, count: int) -> None:
    """Plays the controller of PodDisruptionBudgets."""
    path = f"/apis/policy/v1/namespaces/{world.namespace}/poddisruptionbudgets"
    for body in world.kube.items(path):
        counts = {"currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}
        generation = body["metadata"]["generation"]
        status = {"observedGeneration": generation, "disruptionsAllowed": count, **counts}
        world.kube.patch(f"{path}/{body['metadata']['name']}/status", {"status": status})


@pytest.fixture
def system(server: ApiServer) -> None:
    """The namespace of the chart's release."""
    with contextlib.suppress(RefusedError):
        Kube(server.kubeconfig).request(
            "POST", "/api/v1/namespaces", {"metadata": {"name": access.SYSTEM}}
        )


@contextlib.contextmanager
def leaking(world: World, mode: str = "Automatic", **tuning: Any) -> Iterator[None]:
    """A ready service with a pod that loses 1 MiB a second, and a steady one."""
    world.apply(tuning={"leakGuard": mode, **tuning})
    world.until_ready()
    with page_of(lambda at: 100 + at) as one, page_of(lambda _: 100) as two, kubelet(world):
        run_pod(world, "shop-a", one)
        run_pod(world, "shop-b", two)
        yield


def test_a_leaking_pod_is_resized_and_then_evicted(
    server: ApiServer, system: None, world: World, tmp_path: Path
) -> None:
    with access.installed(server, tmp_path, (world.namespace,)) as account:

        def operator() -> RunningOperator:
            return RunningOperator(
                account.kubeconfig, namespaces=(world.namespace,), build=build_desired_state
            )

        with operator(), leaking(world):
            eventually(lambda: limit(world, "shop-a") == "512Mi")
            since = world.mark()
            report = eventually(lambda: leak(world))
            assert (report["pod"], report["state"]) == ("shop-a", "Raised")
            assert report["bytesPerHour"] == pytest.approx(3600 * MIB, rel=0.1)
            assert report["bytesPerRequest"] > 0
            assert report["message"].endswith("was raised from 256Mi to 512Mi without a restart")
            eventually(lambda: "MemoryLimitRaised" in reasons(world))

            # The budget permits no eviction yet: the pod is announced, and keeps running.
            eventually(lambda: leak(world)["state"] == "Replacing")
            eventually(lambda: "create pods/shop-a/eviction" in world.requests(since))
            assert limit(world, "shop-a") == "512Mi"

        # Another process knows no reading, and evicts the announced pod.
        permit_evictions(world, 1)
        with operator():
            eventually(lambda: limit(world, "shop-a") is None)
            eventually(lambda: leak(world)["state"] == "Replaced")
            eventually(lambda: {"ReplacingPod", "PodReplaced"} <= set(reasons(world)))
        assert limit(world, "shop-b") == "256Mi"
        # A resized pod does not count as drift: nothing else was written.
        changed = {text for text in world.child_writes(since) if "/token" not in text}
        assert changed == {"create pods/shop-a/eviction"}


def test_without_the_right_to_resize_pods_are_evicted_and_without_both_reported(
    server: ApiServer, system: None, world: World, tmp_path: Path
) -> None:
    for rights, state, end in (
        ({"resizePods": False}, "Replacing", "a new pod replaces it"),
        ({"resizePods": False, "evictPods": False}, "Blocked", "is forbidden"),
    ):
        with (
            access.installed(server, tmp_path, (world.namespace,), **rights) as account,
            RunningOperator(
                account.kubeconfig, namespaces=(world.namespace,), build=build_desired_state
            ),
            leaking(world),
        ):
            eventually(functools.partial(is_in, world, state))
            message = leak(world)["message"]
            refusal = 'the API server refuses it: pods "shop-a" is forbidden'
            assert f"its limit cannot be raised: {refusal}" in message
            assert end in message
            assert limit(world, "shop-a") == "256Mi"
            for pod in ("shop-a", "shop-b"):
                world.kube.delete(world.path("pods", pod))
        world.kube.delete(world.path("fastapiservices", "shop"))
        with contextlib.suppress(RefusedError):
            world.kube.delete(world.path("deployments", "shop"))


def test_a_recommendation_only_reports(world: World) -> None:
    world.start(build=build_desired_state)
    with leaking(world, "Recommend"):
        report = eventually(lambda: leak(world))
        assert (report["pod"], report["state"]) == ("shop-a", "Growing")
        since = world.mark()
        time.sleep(2)
        assert world.writes(since) == []
        assert limit(world, "shop-a") == "256Mi"

        world.apply(tuning={"leakGuard": "Disabled"})
        eventually(lambda: not leak(world))


def test_a_quota_that_is_full_is_respected(world: World) -> None:
    """Two pods of 256 MiB fit into it, and no larger limit does."""
    path = f"/api/v1/namespaces/{world.namespace}/resourcequotas"
    hard = {"limits.memory": "600Mi"}
    quota = {"metadata": {"name": "small"}, "spec": {"hard": hard}}
    world.kube.request("POST", path, quota)
    # The controller's work.
    world.kube.patch(
        f"{path}/small/status", {"status": {"hard": hard, "used": {"limits.memory": "0"}}}
    )
    world.start(build=build_desired_state)
    with leaking(world):
        eventually(functools.partial(is_in, world, "Replacing"))
        assert "exceeded quota: small" in leak(world)["message"]
        assert limit(world, "shop-a") == "256Mi"
