"""The operator as a process: its command, signals, probes, the Lease, and optional kinds."""

import datetime
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.definitions import DEFINITIONS, MONITOR_CRD, definition
from tests.api.faulty import FaultyProxy
from tests.api.kube import RefusedError
from tests.api.process import MAIN, Process, fetch, free_port
from tests.api.world import World, eventually
from tests.cluster.apiserver import ApiServer


def process_of(world: World, log: Path, *options: str) -> Process:
    """An operator for the namespace of a test."""
    return Process(world.kubeconfig, log, "--namespace", world.namespace, *options)


@pytest.fixture
def processes(world: World, tmp_path: Path) -> Iterator[list[Process]]:
    """Processes of a test; those that still run are killed after it."""
    started: list[Process] = []
    yield started
    for process in started:
        if process.child.poll() is None:
            process.end(signal.SIGKILL)


def test_the_command_responds_to_probes_and_stops_on_a_signal(
    world: World, tmp_path: Path, processes: list[Process]
) -> None:
    process = process_of(world, tmp_path / "log", "--no-lease")
    processes.append(process)
    eventually(process.is_working)
    world.apply(redis={})
    world.until_ready()
    assert fetch(process.port, "/healthz") == (200, "ok\n")
    code, metrics = fetch(process.port, "/metrics")
    assert code == 200
    assert 'fastapi_operator_services{ready="True",reason="Ready"} 1.0' in metrics
    assert 'fastapi_operator_api_requests_total{code="200",resource="services"' in metrics or (
        'fastapi_operator_api_requests_total{code="201",resource="services"' in metrics
    )
    assert "fastapi_operator_queue_oldest_wait_seconds 0.0" in metrics
    assert "_created" not in metrics
    assert fetch(process.port, "/other")[0] == 404
    with socket.create_connection(("::1", process.port), timeout=5):
        pass  # the kubelet of an IPv6 cluster
    assert process.end() == 0
    log = process.log.read_text()
    assert '"event": "synced"' in log
    secret = world.get("secrets", "shop-redis")
    for value in secret["data"].values():
        assert value not in log


def test_a_signal_stops_it_while_the_api_server_does_not_respond(
    world: World, tmp_path: Path, processes: list[Process]
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("discoverySeconds: 5")
    options = ("--namespace", world.namespace, "--settings", str(settings))
    with FaultyProxy(world.kubeconfig) as proxy:
        config = proxy.kubeconfig(tmp_path)
        process = Process(config, tmp_path / "log", *options, "--lease-namespace", world.namespace)
        processes.append(process)
        eventually(process.is_working)
        eventually(lambda: '"synced"' in process.log.read_text())
        time.sleep(2.0)  # The watches have begun.
        proxy.silent = True
        world.apply()
        # A reconciliation and a discovery wait for their responses.
        eventually(lambda: any(world.namespace in path for path in proxy.unanswered))
        eventually(lambda: "/version" in proxy.unanswered)
        began = time.monotonic()
        assert process.end() == 0
        # The pass is given 5 s, the Lease 2 s.
        assert time.monotonic() - began < 12


def test_without_the_crd_the_log_names_the_missing_crd(tmp_path: Path) -> None:
    with ApiServer(f"bare-{os.getpid()}") as server:
        log = tmp_path / "log"
        with log.open("wb") as output:
            command = [sys.executable, "-c", MAIN, "run", "--no-lease"]
            command += ["--kubeconfig", str(server.kubeconfig), "--health-port", str(free_port())]
            child = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            eventually(lambda: "fastapi-operator crd" in log.read_text())
        finally:
            child.kill()
            child.wait()


def test_an_invalid_kubeconfig_is_reported(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAIN, "run", "--no-lease"]
    command += ["--kubeconfig", str(tmp_path / "nowhere"), "--health-port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_of_two_is_leader_and_the_other_takes_over(
    world: World, tmp_path: Path, processes: list[Process]
) -> None:
    options = ("--lease-namespace", world.namespace)
    first = process_of(world, tmp_path / "first", *options)
    processes.append(first)
    eventually(lambda: '"event": "synced"' in first.log.read_text())
    second = process_of(world, tmp_path / "second", *options)
    processes.append(second)
    eventually(second.is_working)  # a standby is ready for its turn
    assert '"event": "synced"' not in second.log.read_text()
    world.apply()
    world.until_ready()
    # A signal ends the first in order: the second begins at once.
    assert first.end() == 0
    eventually(lambda: '"event": "synced"' in second.log.read_text(), within=10)
    world.apply(image="registry.test/shop:2")
    world.until_ready()
    holder = world.get("leases", "fastapi-operator")["spec"]["holderIdentity"]
    assert holder.endswith(f"_{second.child.pid}")


def test_two_leases_beside_each_other_do_not_compete(
    world: World, tmp_path: Path, processes: list[Process]
) -> None:
    for name in ("one", "two"):
        options = ("--lease-namespace", world.namespace, "--lease-name", name)
        processes.append(process_of(world, tmp_path / name, *options))
    for process in processes:
        eventually(lambda process=process: '"event": "synced"' in process.log.read_text())


def test_an_operator_that_lost_its_lease_exits(
    world: World, tmp_path: Path, processes: list[Process]
) -> None:
    process = process_of(world, tmp_path / "log", "--lease-namespace", world.namespace)
    processes.append(process)
    eventually(lambda: '"event": "synced"' in process.log.read_text())
    path = world.path("leases", "fastapi-operator")
    world.kube.patch(path, {"spec": {"holderIdentity": "another"}})
    assert process.child.wait(20) == 1
    assert "was taken by another" in process.log.read_text()


def test_an_optional_kind_that_appears_is_used_watched_and_repaired(world: World) -> None:
    """The tests' own CRD with the name of ServiceMonitor: its real schema is tested elsewhere."""
    definition = f"{DEFINITIONS}/{MONITOR_CRD['metadata']['name']}"
    operator = world.start(build=build_desired_state, settings={"discovery_seconds": 5})
    world.apply()
    world.until_ready()
    monitors = f"/apis/monitoring.coreos.com/v1/namespaces/{world.namespace}/servicemonitors"
    try:
        world.kube.apply(definition, MONITOR_CRD)
        (monitor, *_) = eventually(lambda: _items(world, monitors), within=30)
        path = f"{monitors}/{monitor['metadata']['name']}"
        eventually(lambda: "servicemonitors" in world.watches(0))
        time.sleep(0.5)
        world.kube.delete(path)
        eventually(lambda: world.kube.get(path))
        # The queue lived on: the service is still kept.
        world.kube.delete(world.path("services", "shop"))
        eventually(lambda: world.get("services", "shop"))
        assert operator.error is None
    finally:
        world.kube.delete(definition)
    # Its disappearance is not an error either.
    time.sleep(7)
    world.apply(image="registry.test/shop:2")
    world.until_ready()
    assert operator.error is None


def test_a_service_waits_for_an_api_that_arrives_after_it(world: World) -> None:
    """With the usual interval of discovery, as if a GitOps tool had applied both in one sync."""
    certificates = definition("cert-manager.io", "v1", "Certificate", "certificates")
    path = f"{DEFINITIONS}/{certificates['metadata']['name']}"
    world.start(build=build_desired_state)
    issuer = {"tls": {"issuer": {"name": "ours"}}}
    world.apply(exposure={"hosts": ["shop.example.com"], "ingress": {}, **issuer})
    ready = eventually(lambda: world.condition("Ready"))
    assert ready["reason"] == "WaitingForApi"
    assert "cert-manager.io/v1/Certificate" in ready["message"]
    try:
        world.kube.apply(path, certificates)
        issued = f"/apis/cert-manager.io/v1/namespaces/{world.namespace}/certificates"
        eventually(lambda: _items(world, issued))
        eventually(lambda: world.condition("ExposureReady").get("reason") == "NotIssued")
        # No transition: it was never stalled.
        stalled = world.condition("Stalled")
        created = world.service()["metadata"]["creationTimestamp"]
        assert stalled["status"] == "False"
        first = datetime.datetime.fromisoformat(stalled["lastTransitionTime"])
        assert first - datetime.datetime.fromisoformat(created) < datetime.timedelta(seconds=3)
    finally:
        world.kube.delete(path)


def _items(world: World, path: str) -> list[dict[str, Any]]:
    try:
        return world.kube.items(path)
    except RefusedError:
        return []
