"""The commands that look at a running service, as a person runs them."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from fastapi_operator.cluster import connection, pods
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.parts import Part
from tests.demo.targets import Cluster
from tests.docs.blocks import ROOT, blocks
from tests.e2e.conftest import Shop
from tests.kubectl import eventually

pytestmark = pytest.mark.node

# As short as possible, because tests on a node take long.
SECONDS = "6"
BLOCKING = "/labs/blocking?seconds=0.3"
MAIN = "from fastapi_operator.cli.main import main; main()"


def main(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MAIN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def run(shop: Shop, *arguments: str) -> subprocess.CompletedProcess[str]:
    return main(*arguments, "-n", shop.namespace, "--kubeconfig", str(shop.kubectl.kubeconfig))


@contextmanager
def asking(shop: Shop, path: str, method: str = "GET", clients: int = 3) -> Iterator[None]:
    """Clients for the length of a block."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.05):
            with suppress(OSError):  # a pod that is shutting down may not respond in time
                shop.request(method, path)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def labs(cluster: Cluster, shop: Shop) -> Iterator[Shop]:
    """The shop with its experiments, one of which blocks the event loop."""
    shop.patch({"env": [{"name": "LABS", "value": "true"}]})
    shop.wait_until_ready()
    try:
        yield shop
    finally:
        shop.patch({"env": None})


@contextmanager
def a_large_table_without_an_index(shop: Shop) -> Iterator[None]:
    """A table, and a statement of the app that reads all of it."""
    shop.database(
        "SELECT pg_stat_statements_reset(); CREATE TABLE visits AS "
        "SELECT g AS id, g % 9000 AS visitor FROM generate_series(1, 90000) g; ANALYZE visits; "
        "GRANT SELECT ON visits TO app"
    )
    try:
        for _ in range(3):
            shop.database("SET ROLE app; SELECT count(*) FROM visits WHERE visitor = 7")
        yield
    finally:
        shop.database("DROP TABLE visits")


def test_a_blocking_call_and_a_missing_index_are_diagnosed(labs: Shop) -> None:
    with a_large_table_without_an_index(labs), asking(labs, BLOCKING):
        doctor = run(labs, "doctor", "shop", "-o", "json", "--seconds", SECONDS)
    assert doctor.returncode == 1, doctor.stderr
    record = json.loads(doctor.stdout)
    assert record["requests"] > 5, record
    first, *others = record["diagnoses"]
    assert first["rule"] == "blocking-call", record
    changes = [other["change"] for other in others if other["rule"] == "missing-index"]
    assert [change.partition(" CONCURRENTLY ")[2] for change in changes] == [
        "ON public.visits (visitor)"
    ], doctor


def test_measured_traffic_fits_into_the_spec(labs: Shop, tmp_path: Path) -> None:
    with asking(labs, "/items"):
        done = run(labs, "measure", "shop", "--seconds", SECONDS)
    assert done.returncode == 0, done.stderr
    traffic = yaml.safe_load(done.stdout)["traffic"]
    assert {"peakRequestsPerSecond", "p95Milliseconds", "cpuMillisecondsPerRequest"} <= set(traffic)
    assert traffic["databaseMillisecondsPerRequest"] >= 1
    service = labs.get()
    service["spec"]["traffic"] = traffic
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(service))
    checked = main("validate", str(tmp_path / "shop.yaml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def type_page(shop: Shop, name: str, folder: Path) -> str:
    """Runs the commands of a runbook in order and returns their output."""
    plugin = folder / "kubectl-fastapi"
    plugin.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{MAIN}' \"$@\"\n")
    plugin.chmod(0o755)
    environment = shop.kubectl.environment
    environment |= {"PATH": f"{folder}{os.pathsep}{environment['PATH']}"}
    shown = ""
    for block in blocks(ROOT / f"docs/runbooks/{name}.md"):
        script = block.script.replace("NAMESPACE", shop.namespace).replace("SERVICE", "shop")
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script.replace("--seconds 20", "--seconds 3")],
            env=environment, cwd=folder, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        # grep exits with 1 if a log has no such line; that is a valid result.
        assert done.returncode == 0 or "| grep" in script, (script, done.stderr)
        shown += done.stdout
    return shown


def test_the_commands_of_a_runbook_show_the_blocking_call(labs: Shop, tmp_path: Path) -> None:
    with asking(labs, BLOCKING):
        shown = type_page(labs, "event-loop-blocked", tmp_path)
    assert "router.py:wait_in_the_loop" in shown, shown
    assert "wait_in_the_loop" in (tmp_path / "flame.svg").read_text()


def test_only_the_loopback_address_of_a_pod_serves_profiles(labs: Shop) -> None:
    """The machine has a route to the pods, as other pods have; the node enforces no policy."""
    label = "fastapi-operator.io/service=shop,app.kubernetes.io/component=app"
    found = labs.kubectl.json("get", "pods", "-n", labs.namespace, "-l", label)
    address = found["items"][0]["status"]["podIP"]
    for port in (9000, 9001):
        socket.create_connection((address, port), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 9002), timeout=5)


def test_a_pod_takes_one_profile_and_a_closed_port_is_an_error(labs: Shop) -> None:
    async def read(client: Client, pod: str, port: int) -> str:
        try:
            return await pods.page(client, labs.namespace, pod, port, "/debug/profile?seconds=3")
        except ApiError as error:
            return str(error)

    async def work() -> tuple[list[str], str]:
        client = Client(await connection.load(kubeconfig=str(labs.kubectl.kubeconfig)))
        try:
            found = await pods.pods_of(client, labs.namespace, "shop")
            pod = next(pod for pod in found if pod.part is Part.APP and pod.running)
            port = pod.diagnostics_port or 0
            profiles = await asyncio.gather(*(read(client, pod.name, port) for _ in range(5)))
            return list(profiles), await read(client, pod.name, 9999)
        finally:
            await client.close()

    profiles, closed = asyncio.run(work())
    assert sum(text.startswith("429 ") for text in profiles) == 4, profiles
    assert closed.startswith("0 PortForward: "), closed
    assert "connection refused" in closed


def test_missing_rights_are_named_in_the_error(labs: Shop) -> None:
    kubectl = labs.kubectl
    kubectl("create", "serviceaccount", "nobody", "-n", labs.namespace)
    try:
        token = kubectl("create", "token", "nobody", "-n", labs.namespace).strip()
        config = yaml.safe_load(Path(kubectl.kubeconfig).read_text())
        config["users"][0]["user"] = {"token": token}
        own = Path(kubectl.kubeconfig).with_name("nobody.kubeconfig")
        own.write_text(yaml.safe_dump(config))
        done = main("doctor", "shop", "-n", labs.namespace, "--kubeconfig", str(own))
        own.unlink()
    finally:
        kubectl("delete", "serviceaccount", "nobody", "-n", labs.namespace)
    assert done.returncode == 2
    assert "forbidden" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_end_of_a_leak_is_diagnosed_and_its_runbook_shows_it(
    labs: Shop, tmp_path: Path
) -> None:
    """The last one, since its pod keeps the mark of it."""

    with asking(labs, "/labs/memory?mebibytes=64", "POST"):
        shown = eventually(
            lambda: "OOMKilled" in (page := type_page(labs, "out-of-memory", tmp_path)) and page,
            seconds=120,
            what="the page shows a pod that the kernel ended",
        )
    assert re.search(r"^shop-\S+ +app\S* .*OOMKilled", shown, re.MULTILINE), shown
    assert re.search(r"memory_limit_bytes +\d+Mi", shown), shown
    # The app that the kernel ended starts again, and until then has no metrics.
    ready = "jsonpath={.status.readyReplicas}"
    eventually(
        lambda: labs.kubectl("get", "deployment", "shop", "-n", labs.namespace, "-o", ready),
        seconds=120,
        what="a ready pod",
    )
    doctor = run(labs, "doctor", "shop", "-o", "json", "--seconds", SECONDS)
    assert doctor.returncode == 1, doctor.stderr
    assert json.loads(doctor.stdout)["diagnoses"][0]["rule"] == "memory-limit-too-low", doctor
