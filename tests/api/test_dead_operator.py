"""A real operator process whose access to the API server is taken away: it must not look alive."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.api import test_access as access
from tests.api.kube import Kube
from tests.api.process import MAIN, Process, fetch
from tests.api.test_process import processes
from tests.api.world import World, eventually, install_crd
from tests.cluster.apiserver import ApiServer
from tests.unit.observability import test_alerts as alerts

__all__ = ("processes",)

# Bounds that are minutes in production.
SHORT = f"""
from fastapi_operator.cluster import failures, lease
from fastapi_operator.reconcile.loop import contact
lease.RENEW_SECONDS, lease.ERROR_AFTER_SECONDS = 1, 3
contact.STALE_SECONDS, contact.EXIT_SECONDS = 5, {{exit}}
failures.ERROR_AFTER_SECONDS = 3
{MAIN}
"""
SYSTEM = access.SYSTEM


def ready(process: Process) -> int:
    return fetch(process.port, "/readyz")[0]


def levels(process: Process, event: str) -> set[str]:
    """The levels at which an event was logged."""
    lines = [line for line in process.log.read_text().splitlines() if line.startswith("{")]
    return {found["level"] for found in map(json.loads, lines) if found["event"] == event}


def alert_fires(process: Process, folder: Path, *, expected: bool) -> None:
    """Asks promtool with the samples that the process exposes now."""
    text = fetch(process.port, "/metrics")[1]
    (value,) = [
        line.split()[1] for line in text.splitlines() if line[:24] == "fastapi_operator_working"
    ]
    series = alerts.process("real", f"{float(value):g}x200")
    names = {"FastAPIOperatorDown"} if expected else set()
    alerts.run(folder, [alerts.firing(series, names, "1h")])


@pytest.fixture
def broken(world: World, tmp_path: Path) -> Path:
    """A kubeconfig whose client certificate no authority of the cluster has signed."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /O=system:masters/CN=x"
    files = ["-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    body = yaml.safe_load(world.kubeconfig.read_text())
    body["users"][0]["user"] = {
        "client-certificate-data": base64.b64encode(certificate.read_bytes()).decode(),
        "client-key-data": base64.b64encode(key.read_bytes()).decode(),
    }
    path = tmp_path / "broken"
    path.write_text(yaml.safe_dump(body))
    return path


@pytest.mark.parametrize("lease", [True, False], ids=["lease", "no lease"])
def test_an_invalid_certificate_is_not_ready_and_exits(
    world: World, broken: Path, tmp_path: Path, processes: list[Process], lease: bool
) -> None:
    settings = tmp_path / "settings"
    settings.write_text("discoverySeconds: 5")
    options = (
        ("--lease-namespace", world.namespace)
        if lease
        else ("--no-lease", "--settings", str(settings))
    )
    process = Process(
        broken,
        tmp_path / "log",
        *("--namespace", world.namespace, *options),
        main=SHORT.format(exit=12),
    )
    processes.append(process)
    eventually(lambda: ready(process) == 503)
    event = "lease not acquired" if lease else "initial list failed"
    eventually(lambda: levels(process, event) >= {"warning", "error"})
    assert fetch(process.port, "/healthz")[0] == 200
    alert_fires(process, tmp_path, expected=True)
    assert "401" in process.log.read_text()
    assert process.child.wait(60) == 1
    assert "since the start" in process.log.read_text() or "initial list failed: 401" in (
        process.log.read_text()
    )


def test_a_stopped_api_server_ends_readiness_and_then_the_process(
    tmp_path: Path, processes: list[Process]
) -> None:
    with ApiServer(f"api-dead-{os.getpid()}") as server:
        install_crd(Kube(server.kubeconfig))
        access.world_named(server, "shop")
        started = [
            Process(
                server.kubeconfig,
                tmp_path / f"log-{number}",
                *("--namespace", "shop", "--lease-namespace", "shop"),
                main=SHORT.format(exit=40),
            )
            for number in range(2)
        ]
        processes.extend(started)
        leader, standby = started
        for process in started:
            eventually(lambda process=process: ready(process) == 200)
        (first,) = eventually(lambda: [it for it in started if '"synced"' in it.log.read_text()])
        if first is not leader:
            leader, standby = standby, leader
        alert_fires(leader, tmp_path, expected=False)
        # It works only as a leader.
        alert_fires(standby, tmp_path, expected=True)
    stopped = time.monotonic()
    eventually(lambda: ready(leader) == 503)
    eventually(lambda: ready(standby) == 503)
    alert_fires(leader, tmp_path, expected=True)
    # It cannot renew: another one may take over after 40 s.
    assert leader.child.wait(40) == 1
    assert time.monotonic() - stopped < 35
    assert levels(leader, "lease not renewed") == {"warning", "error"}
    assert levels(standby, "lease not acquired") >= {"warning", "error"}
    assert standby.child.wait(60) == 1
    assert "the Lease was not read or renewed for" in standby.log.read_text()


@pytest.fixture(scope="module")
def small_server() -> Iterator[ApiServer]:
    with ApiServer(f"api-rights-{os.getpid()}") as server:
        kube = Kube(server.kubeconfig)
        install_crd(kube)
        kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
        yield server


def test_without_rights_to_the_lease_it_is_not_ready(
    small_server: ApiServer, tmp_path: Path, processes: list[Process]
) -> None:
    kube = Kube(small_server.kubeconfig)
    with access.installed(small_server, tmp_path, ()) as account:

        def start(name: str) -> Process:
            options = ("--lease-namespace", SYSTEM)
            process = Process(
                account.kubeconfig, tmp_path / name, *options, main=SHORT.format(exit=60)
            )
            processes.append(process)
            return process

        leader = start("leader")
        eventually(lambda: '"synced"' in leader.log.read_text())
        assert ready(leader) == 200
        binding = _lease_binding(kube)
        kube.delete(binding)
        eventually(lambda: ready(leader) == 503)
        assert leader.child.wait(40) == 1
        again = start("again")
        eventually(lambda: ready(again) == 503)
        eventually(lambda: levels(again, "lease not acquired") >= {"warning", "error"})
        assert "cannot get resource" in again.log.read_text()
        alert_fires(again, tmp_path, expected=True)


def _lease_binding(kube: Kube) -> str:
    root = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SYSTEM}/rolebindings"
    (name,) = [
        item["metadata"]["name"] for item in kube.items(root) if "lease" in item["metadata"]["name"]
    ]
    return f"{root}/{name}"
