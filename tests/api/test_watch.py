"""``status --watch`` and ``--until-ready`` against a service that changes."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.test_busiest import labels
from tests.api.test_commands import MAIN
from tests.api.world import World, eventually

# A test runner in the background ignores interrupts, and so would its processes.
_PROGRAM = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {MAIN}"


class Watch:
    """A running command, and what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        self.process = process
        self.printed = b""
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reader.start()

    def _read(self, output: int) -> None:
        # A terminal without a program raises an error.
        with contextlib.suppress(OSError):
            while piece := os.read(output, 4096):
                self.printed += piece

    @property
    def text(self) -> str:
        return self.printed.decode().replace("\r\n", "\n")

    def end(self, number: int = signal.SIGINT) -> int:
        """Interrupts the command and returns its exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(60)
        self._reader.join(5)
        return status


@contextmanager
def watching(world: World, *arguments: str, terminal: bool = False) -> Iterator[Watch]:
    ours, its = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    command = [sys.executable, "-c", _PROGRAM, "status", "shop", *arguments, "-n", world.namespace]
    environment = {**os.environ, "KUBECONFIG": str(world.kubeconfig), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command,
        stdout=its,
        stderr=subprocess.STDOUT,
        env=environment,
    )
    os.close(its)
    try:
        yield Watch(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


@pytest.fixture
def shop(world: World) -> World:
    world.start(build=build_desired_state)
    world.apply(redis={})
    world.until_ready()
    return world


def test_without_a_terminal_each_change_is_one_block(shop: World) -> None:
    with watching(shop, "--watch", "--interval", "1") as watch:
        eventually(lambda: "✓ shop  registry.test/shop:1" in watch.text)
        time.sleep(2.5)
        assert watch.text.count("registry.test/shop:1") == 1, "no block without a change"
        shop.apply(image="registry.test/shop:2", redis={})
        eventually(lambda: "✗ shop  registry.test/shop:2" in watch.text)
        half = {"replicas": 3, "updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2}
        shop.kube.patch(f"{shop.path('deployments', 'shop')}/status", {"status": half})
        eventually(lambda: "rollout shop: 1 of " in watch.text)
        assert "pods updated, 2 ready, 2 old" in watch.text
        shop.until_ready()
        eventually(lambda: "✓ shop  registry.test/shop:2" in watch.text)
        assert watch.end() == 0
    assert "\x1b" not in watch.text
    assert "\r" not in watch.text
    blocks = watch.text.split("\n\n")
    assert all(block.lstrip()[:4].isdigit() for block in blocks), "each begins with its time"
    # The numbers are those of `explain`; they would hide the change.
    assert "server.workers" not in watch.text


def test_json_has_one_line_for_each_change(shop: World) -> None:
    with watching(shop, "--watch", "--interval", "1", "-o", "json") as watch:
        eventually(lambda: watch.text.endswith("\n"))
        shop.apply(image="registry.test/shop:2", redis={})
        eventually(lambda: watch.text.count("\n") > 1)
        assert watch.end(signal.SIGTERM) == 0
    records: list[dict[str, Any]] = [json.loads(line) for line in watch.text.splitlines()]
    assert records[0]["ready"] is True
    assert records[-1]["image"] == "registry.test/shop:2"


def test_a_terminal_shows_one_view_and_is_left_as_it_was(shop: World) -> None:
    with watching(shop, "--watch", "--interval", "1", terminal=True) as watch:
        eventually(lambda: watch.text.count("Ctrl-C ends") > 2)
        assert watch.end() == 0
    text = watch.text
    for word in ("Traffic", "Connections", "Parts", "registry.test/shop:1"):
        assert word in text
    assert "no running app pod has a port with metrics" in text
    assert "\x1b[?25l" in text, "the cursor is hidden meanwhile"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "Traceback" not in text


def test_a_pod_that_cannot_be_read_has_its_reason_in_the_view(shop: World) -> None:
    ports = [{"name": "metrics", "containerPort": 9000}]
    container = {"name": "app", "image": "registry.test/shop:1", "ports": ports}
    metadata = {"name": "shop-a", "labels": labels("app")}
    pod = {"metadata": metadata, "spec": {"containers": [container]}}
    shop.kube.request("POST", shop.path("pods"), pod)
    shop.kube.patch(f"{shop.path('pods', 'shop-a')}/status", {"status": {"phase": "Running"}})
    with watching(shop, "--watch", "--interval", "1", terminal=True) as watch:
        # Without a node, the API server cannot forward a port.
        eventually(lambda: "port 9000: " in watch.text)
        assert watch.end() == 0
    assert "Traceback" not in watch.text


def test_until_ready_ends_with_the_service(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(redis={})
    with watching(world, "--until-ready", "--interval", "1") as watch:
        eventually(lambda: "✗ shop" in watch.text)
        assert watch.process.poll() is None
        world.until_ready()
        assert watch.wait() == 0
    assert "✓ shop" in watch.text.split("\n\n")[-1]


def test_until_ready_fails_after_its_time(world: World) -> None:
    world.apply()
    with watching(world, "--until-ready", "--timeout", "2", "--interval", "1") as watch:
        assert watch.wait() == 1
    assert "error: shop is not ready: not within 2 s (--timeout)" in watch.text
    assert "NotObserved: no operator has observed this service yet; check that" in watch.text


def test_until_ready_does_not_wait_for_a_service_that_is_stalled(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(postgres={"pooler": {"engine": "None"}}, scaling={"maxReplicas": 1000})
    began = time.monotonic()
    with watching(world, "--until-ready", "--timeout", "100", "--interval", "1") as watch:
        assert watch.wait() == 1
    assert time.monotonic() - began < 30
    assert "error: shop is not ready: " in watch.text
    assert "maxReplicas" in watch.text


def test_interrupted_waiting_is_a_failure(world: World) -> None:
    world.apply()
    with watching(world, "--until-ready", "--interval", "1") as watch:
        eventually(lambda: "✗ shop" in watch.text)
        assert watch.end() == 1


def test_a_service_that_does_not_exist_ends_the_command(world: World) -> None:
    with watching(world, "--watch") as watch:
        assert watch.wait() == 2
    assert "shop does not exist" in watch.text


def test_options_of_watching_need_it(world: World) -> None:
    with watching(world, "--timeout", "3") as watch:
        assert watch.wait() == 2
    assert "--timeout is for --watch and --until-ready" in watch.text
