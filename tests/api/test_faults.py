"""Faults: after each, the same objects as in an undisturbed run, no second Job, no new Secret."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.faulty import FaultyProxy, at_write
from tests.api.kube import Kube
from tests.api.running import RunningOperator
from tests.api.test_process import MONITOR_CRD, process_of
from tests.api.world import World, eventually, install_crd, world_on
from tests.cluster.apiserver import ApiServer
from tests.faults.field import pid_of

FULL: dict[str, Any] = {"redis": {}, "postgres": {"migrations": {}}}
KINDS = (
    "deployments",
    "statefulsets",
    "jobs",
    "configmaps",
    "secrets",
    "services",
    "persistentvolumeclaims",
    "horizontalpodautoscalers",
    "controllerrevisions",
)


def objects(world: World) -> dict[str, str]:
    """The service's objects with the identity of each creation, by kind and name."""
    selector = "fastapi-operator.io/service=shop"
    return {
        f"{kind}/{body['metadata']['name']}": body["metadata"]["uid"]
        for kind in KINDS
        for body in world.kube.items(world.path(kind), labelSelector=selector)
    }


def watching(world: World) -> Callable[[], None]:
    """Records objects that must not change from now on: Secrets, volumes and Jobs."""
    once: dict[str, str] = {}

    def check() -> None:
        for name, uid in objects(world).items():
            if name.startswith(("secrets/", "jobs/", "persistentvolumeclaims/")):
                assert once.setdefault(name, uid) == uid, f"{name} was made a second time"

    return check


def test_a_repeatedly_killed_operator_reaches_the_same_state(world: World, tmp_path: Path) -> None:
    check = watching(world)
    world.apply(**FULL)
    for round_ in range(5):
        process = process_of(world, tmp_path / f"log-{round_}", "--no-lease")
        try:
            eventually(lambda process=process: '"synced"' in process.log.read_text())
            time.sleep(0.05 + 0.15 * round_)
        finally:
            process.end(signal.SIGKILL)
        world.finish_rollouts()
        check()
    operator = world.start(build=build_desired_state)
    world.until_ready()
    check()
    names = set(objects(world))
    assert len([name for name in names if name.startswith("jobs/")]) == 1
    assert len([name for name in names if name.startswith("controllerrevisions/")]) == 1

    # The undisturbed run: the same names in the end.
    operator.stop()
    undisturbed = World(world.kube, world.kubeconfig, f"{world.namespace}-u", world.audit_log)
    space = {"metadata": {"name": undisturbed.namespace}}
    world.kube.request("POST", "/api/v1/namespaces", space)
    undisturbed.start(build=build_desired_state)
    try:
        undisturbed.apply(**FULL)
        undisturbed.until_ready()
        assert _names(undisturbed) == {_of_any_database(name) for name in names}
    finally:
        for running in undisturbed.operators:
            running.stop()


def _names(world: World) -> set[str]:
    return {_of_any_database(name) for name in objects(world)}


def _of_any_database(name: str) -> str:
    """The name of an object; that of a migration Job without the hash of its database."""
    return re.sub(r"-migrate-[0-9a-f]{10}$", "-migrate", name)


def test_two_operators_at_once_reach_the_same_state(world: World) -> None:
    check = watching(world)
    world.start(build=build_desired_state)
    world.start(build=build_desired_state)
    world.apply(**FULL)
    world.until_ready()
    check()
    world.apply(image="registry.test/shop:2", **FULL)
    world.until_ready()
    check()
    assert len([name for name in objects(world) if name.startswith("jobs/")]) == 2
    time.sleep(2.0)
    since = world.mark()
    time.sleep(3.0)
    assert world.writes(since) == []


def test_randomly_failed_requests_do_not_change_the_final_state(
    world: World, tmp_path: Path
) -> None:
    check = watching(world)
    with FaultyProxy(world.kubeconfig, share=0.1) as proxy:
        through = RunningOperator(
            proxy.kubeconfig(tmp_path), namespaces=(world.namespace,), build=build_desired_state
        )
        with through:
            for tag in ("1", "2"):
                world.apply(image=f"registry.test/shop:{tag}", **FULL)
                world.until_ready(within=90)
                check()
    assert len(proxy.met) >= 4, proxy.met
    names = objects(world)
    assert len([name for name in names if name.startswith("jobs/")]) == 2
    assert len([name for name in names if name.startswith("controllerrevisions/")]) == 2


EVERY = 1 if os.environ.get("FAULTS") == "full" else 7


def test_an_operator_that_is_killed_at_every_write_reaches_the_same_state(
    world: World, tmp_path: Path
) -> None:
    """Each process is killed at a write, executed or not; the next has only the live objects."""
    check, lives, ready = watching(world), 0, False
    world.apply(**FULL)
    while not ready:
        lives += 1
        assert lives < 120, "no life gets any further"
        # A write that was not done is tried again: the second life in a row gets past it.
        fate = at_write(EVERY, done=lives % 2 == 1)
        with FaultyProxy(world.kubeconfig, fate=fate) as proxy:
            life = RunningOperator(
                proxy.kubeconfig(tmp_path), namespaces=(world.namespace,), build=build_desired_state
            )
            with life:
                ready = (
                    eventually(lambda proxy=proxy: proxy.dead.is_set() or played(world), within=60)
                    and not proxy.dead.is_set()
                )
        check()
    names = set(objects(world))
    assert len([name for name in names if name.startswith("jobs/")]) == 1
    assert len([name for name in names if name.startswith("controllerrevisions/")]) == 1
    assert lives > 30 // EVERY, f"only {lives} lives: the faults did not happen"
    since = world.mark()
    with RunningOperator(
        world.kubeconfig, namespaces=(world.namespace,), build=build_desired_state
    ):
        time.sleep(3.0)
    assert world.writes(since) == []


def played(world: World) -> bool:
    """Plays the controllers for a moment; returns whether the service is Ready."""
    world.finish_rollouts()
    for job in world.kube.items(world.path("jobs")):
        if not job.get("status", {}).get("conditions"):
            world.finish_job(job["metadata"]["name"])
    return world.is_ready()


def test_deletes_while_a_watch_expires_are_repaired(world: World, tmp_path: Path) -> None:
    with FaultyProxy(world.kubeconfig) as proxy:
        config = proxy.kubeconfig(tmp_path)
        with RunningOperator(
            config, namespaces=(world.namespace,), build=build_desired_state
        ) as operator:
            world.apply()
            world.until_ready()
            time.sleep(4.0)  # The watches have shown everything, and are trusted.
            proxy.blind()
            world.kube.delete(world.path("services", "shop"))
            time.sleep(1.0)
            assert world.get("services", "shop") is None
            proxy.expire()
            eventually(lambda: world.get("services", "shop"), within=30)
            assert operator.error is None


@pytest.mark.parametrize("kind", ["deployments", "configmaps", "controllerrevisions"])
def test_no_object_is_created_for_a_service_whose_deletion_was_not_reported(
    world: World, tmp_path: Path, kind: str
) -> None:
    """Each kind has a watch of its own: those of children may be faster than that of services."""
    with FaultyProxy(world.kubeconfig) as proxy:
        config = proxy.kubeconfig(tmp_path)
        with RunningOperator(config, namespaces=(world.namespace,), build=build_desired_state):
            world.apply()
            world.until_ready()
            time.sleep(4.0)  # The watches have shown everything, and are trusted.
            proxy.blind("fastapiservices")
            world.kube.delete(world.path("fastapiservices", "shop"))
            since = world.mark()
            for body in world.kube.items(world.path(kind)):
                world.kube.delete(world.path(kind, body["metadata"]["name"]))
            time.sleep(2.0)
            assert world.kube.items(world.path(kind)) == []
            assert world.writes(since) == []


def test_a_failed_discovery_does_not_mean_absence(world: World, tmp_path: Path) -> None:
    definition = (
        f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{MONITOR_CRD['metadata']['name']}"
    )
    monitors = f"/apis/monitoring.coreos.com/v1/namespaces/{world.namespace}/servicemonitors"
    world.kube.apply(definition, MONITOR_CRD)
    eventually(lambda: world.kube.get(monitors) is not None)
    settings = {"discovery_seconds": 5}
    try:
        with FaultyProxy(world.kubeconfig) as proxy:
            config = proxy.kubeconfig(tmp_path)
            with RunningOperator(
                config, namespaces=(world.namespace,), build=build_desired_state, settings=settings
            ):
                world.apply()
                world.until_ready()
                (monitor, *_) = world.kube.items(monitors)
                proxy.refused = frozenset({"/apis", "/version"})
                time.sleep(7.0)
                path = f"{monitors}/{monitor['metadata']['name']}"
                assert world.kube.get(path)["metadata"]["uid"] == monitor["metadata"]["uid"]
                world.kube.delete(path)
                eventually(lambda: world.kube.get(path))
    finally:
        world.kube.delete(definition)


@pytest.fixture(scope="module")
def own_server() -> Any:
    """An API server that may be broken."""
    with ApiServer(f"api-faults-{os.getpid()}") as running:
        install_crd(Kube(running.kubeconfig))
        yield running


@pytest.mark.parametrize("part", ["kube-apiserver", "etcd"])
def test_the_operator_waits_for_a_frozen_control_plane(own_server: ApiServer, part: str) -> None:
    with world_on(own_server) as world:
        check = watching(world)
        operator = world.start(build=build_desired_state)
        world.apply(**FULL)
        eventually(lambda: objects(world))
        pid = pid_of(own_server, part)
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(8)
        finally:
            os.kill(pid, signal.SIGCONT)
        world.until_ready(within=60)
        check()
        assert operator.error is None


def test_the_operator_reconnects_to_a_restarted_api_server(own_server: ApiServer) -> None:
    with world_on(own_server) as world:
        check = watching(world)
        operator = world.start(build=build_desired_state)
        world.apply(**FULL)
        eventually(lambda: objects(world))
        os.kill(pid_of(own_server, "kube-apiserver"), signal.SIGKILL)
        time.sleep(3)
        own_server.start()
        world.until_ready(within=60)
        check()
        assert operator.error is None
        world.kube.delete(world.path("services", "shop"))
        eventually(lambda: world.get("services", "shop"), within=60)


def test_a_terminating_namespace_causes_no_errors(controlled_world: World) -> None:
    world = controlled_world
    operator = world.start(build=build_desired_state)
    world.apply(**FULL)
    eventually(lambda: world.get("statefulsets", "shop-postgres"))
    since = world.mark()
    world.kube.delete(f"/api/v1/namespaces/{world.namespace}")
    eventually(lambda: world.kube.get(f"/api/v1/namespaces/{world.namespace}") is None, within=90)
    time.sleep(3)
    assert operator.error is None
    refused = [text for text in world.writes(since) if "status" not in text]
    assert len(refused) < 40, refused
