"""The commands that look at a running service, as a person runs them."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.demo.targets import Cluster
from tests.e2e.conftest import Shop

pytestmark = pytest.mark.node

MAIN = "from fastapi_operator.cli.main import main; main()"


def run(shop: Shop, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MAIN, *arguments, "-n", shop.namespace]
    command += ["--kubeconfig", str(shop.kubectl.kubeconfig)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def asking(shop: Shop, path: str, clients: int = 3) -> Iterator[None]:
    """Clients for the length of a block."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.05):
            shop.request("GET", path)

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
        shop.wait_until_ready()


def test_a_healthy_shop_has_no_fault_of_its_own(labs: Shop) -> None:
    with asking(labs, "/items"):
        done = run(labs, "doctor", "shop", "-o", "json", "--seconds", "10")
    record = json.loads(done.stdout)
    assert record["requests"] > 20, done
    # The node has two cores for everything: that others took them is then true.
    assert {item["rule"] for item in record["diagnoses"]} <= {"cpu-starved"}, record
    assert done.returncode == (1 if record["diagnoses"] else 0)


def test_a_blocking_call_is_diagnosed_and_its_profile_shows_it(labs: Shop, tmp_path: Path) -> None:
    picture = tmp_path / "flame.svg"
    with asking(labs, "/labs/blocking?seconds=0.3"):
        doctor = run(labs, "doctor", "shop", "-o", "json", "--seconds", "10")
        profile = run(labs, "profile", "shop", "--seconds", "5", "-o", str(picture))
    assert doctor.returncode == 1, doctor.stderr
    assert json.loads(doctor.stdout)["diagnoses"][0]["rule"] == "blocking-call", doctor.stdout
    assert profile.returncode == 0, profile.stderr
    assert "router.py:" in profile.stdout.splitlines()[1]
    assert "router.py:" in picture.read_text()


def test_measured_traffic_fits_into_the_spec(labs: Shop) -> None:
    with asking(labs, "/items"):
        done = run(labs, "measure", "shop", "--seconds", "10")
    assert done.returncode == 0, done.stderr
    traffic = yaml.safe_load(done.stdout)["traffic"]
    assert {"peakRequestsPerSecond", "p95Milliseconds", "cpuMillisecondsPerRequest"} <= set(traffic)
    assert traffic["databaseMillisecondsPerRequest"] >= 1


def test_who_may_not_look_is_told_which_right_is_missing(labs: Shop) -> None:
    kubectl = labs.kubectl
    kubectl("create", "serviceaccount", "nobody", "-n", labs.namespace)
    try:
        token = kubectl("create", "token", "nobody", "-n", labs.namespace).strip()
        config = yaml.safe_load(Path(kubectl.kubeconfig).read_text())
        config["users"][0]["user"] = {"token": token}
        own = Path(kubectl.kubeconfig).with_name("nobody.kubeconfig")
        own.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-c", MAIN, "doctor", "shop", "-n", labs.namespace]
        done = subprocess.run(
            [*command, "--kubeconfig", str(own)], capture_output=True, text=True, check=False
        )
        own.unlink()
    finally:
        kubectl("delete", "serviceaccount", "nobody", "-n", labs.namespace)
    assert done.returncode == 2
    assert "forbidden" in done.stderr
    assert "Traceback" not in done.stderr
