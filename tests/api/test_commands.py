"""The commands that need a cluster, run as processes."""

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastapi_operator.reconcile.loop.published_settings import PublishedSettings
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.kube import service_body, to_yaml
from tests.api.world import World, eventually

MAIN = "from fastapi_operator.cli.main import main; main()"


def run(world: World, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """A command in the test's namespace."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments, "-n", world.namespace],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECONFIG": str(world.kubeconfig)},
    )


def on_a_terminal(world: World, *arguments: str) -> str:
    """Returns the output of a command on a terminal."""
    ours, its = pty.openpty()
    command = [sys.executable, "-c", MAIN, *arguments, "-n", world.namespace]
    plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment = {**plain, "KUBECONFIG": str(world.kubeconfig)}
    with subprocess.Popen(command, stdout=its, env=environment):
        os.close(its)
        # Reading from a terminal without a running program raises an error.
        output = b""
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                output += piece
    os.close(ours)
    return output.decode().replace("\r\n", "\n")


def document(world: World, **spec: object) -> str:
    return to_yaml(service_body("shop", world.namespace, **spec))


@pytest.fixture
def shop(world: World) -> World:
    """A ready service with a cache."""
    published = PublishedSettings(world.namespace, "operator-settings")
    world.start(build=build_desired_state, published=published)
    world.apply(redis={})
    world.until_ready()
    return world


def test_diff_without_changes_is_empty(shop: World) -> None:
    for arguments in (("shop",), ("-f", "-")):
        done = run(shop, "diff", *arguments, text=document(shop, redis={}))
        assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_diff_of_a_file_shows_the_changes_and_writes_nothing(shop: World) -> None:
    since = shop.mark()
    changed = document(shop, image="registry.test/shop:2", scaling={"replicas": 3})
    done = run(shop, "diff", "-f", "-", text=changed)
    assert done.returncode == 1, done.stderr
    assert "--- Deployment/shop live" in done.stdout
    assert "-        image: registry.test/shop:1" in done.stdout
    assert "+        image: registry.test/shop:2" in done.stdout
    # No cache any more, and no autoscaler.
    assert "--- HorizontalPodAutoscaler/shop live\n+++ /dev/null" in done.stdout
    assert "--- Deployment/shop-redis live\n+++ /dev/null" in done.stdout
    assert "managedFields" not in done.stdout
    assert "-  password: '***'" in done.stdout
    for value in shop.get("secrets", "shop-redis")["data"].values():
        assert value not in done.stdout
    time.sleep(0.5)
    dry = [text for text in shop.writes(since) if "deployments" in text]
    assert shop.get("deployments", "shop")["spec"]["template"]["spec"]["containers"][0][
        "image"
    ].endswith(":1"), dry


def test_diff_of_a_new_service_shows_every_object(world: World, tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.write_text("{}")
    done = run(world, "diff", "-f", "-", "--settings", str(settings), text=document(world))
    assert done.returncode == 1, done.stderr
    assert "--- /dev/null\n+++ Deployment/shop desired" in done.stdout
    assert world.get("deployments", "shop") is None


def test_diff_requires_an_existing_service_or_a_file(world: World) -> None:
    assert run(world, "diff").returncode == 2
    done = run(world, "diff", "unknown")
    assert done.returncode == 2
    assert f"FastAPIService {world.namespace}/unknown does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_is_a_tree_of_the_parts(shop: World) -> None:
    done = run(shop, "status", "shop")
    assert done.returncode == 0, done.stderr
    assert "✓ shop  registry.test/shop:1" in done.stdout
    assert "✓ cache" in done.stdout
    assert re.search(r"✓ Deployment shop-redis  \d+s\n", done.stdout), "its age beside it"
    assert "server.workers" in done.stdout


def test_status_of_an_unready_service_shows_the_problem_and_exits_with_1(shop: World) -> None:
    shop.apply(image="registry.test/shop:latest", redis={})
    eventually(lambda: shop.condition("ApplicationReady").get("status") == "False")
    done = run(shop, "status", "shop")
    assert done.returncode == 1
    assert "✗ app" in done.stdout
    assert "warning: spec.image" in done.stdout
    record = json.loads(run(shop, "status", "shop", "-o", "json").stdout)
    assert record["ready"] is False
    parts = {part["part"]: part for part in record["parts"]}
    assert parts["app"]["ready"] is False
    assert parts["cache"]["ready"] is True
    assert {"kind", "name", "created", "ready", "message"} == set(parts["app"]["objects"][0])


def test_restart_replaces_only_the_app_pods(shop: World) -> None:
    since = shop.mark()
    done = run(shop, "restart", "shop")
    assert done.returncode == 0, done.stderr
    eventually(
        lambda: (
            "fastapi-operator.io/restarted-at"
            in shop.get("deployments", "shop")["spec"]["template"]["metadata"]["annotations"]
        )
    )
    shop.until_ready()
    # The command has the operator's user agent; its write is the one to the service.
    assert sorted(shop.child_writes(since)) == [
        "patch deployments/shop",
        "patch fastapiservices/shop",
    ]


def test_suspend_stops_reconciliation_and_resume_continues_it(shop: World) -> None:
    assert run(shop, "suspend", "shop").returncode == 0
    eventually(lambda: shop.condition("Ready").get("reason") == "Suspended")
    shop.kube.delete(shop.path("services", "shop"))
    time.sleep(1.0)
    assert shop.get("services", "shop") is None
    assert run(shop, "suspend", "shop", "--resume").returncode == 0
    eventually(lambda: shop.get("services", "shop"))
    assert "suspend" not in shop.service()["spec"]


def test_diff_is_coloured_only_on_a_terminal(shop: World, tmp_path: Path) -> None:
    changed = document(shop, image="registry.test/shop:2", redis={})
    done = run(shop, "diff", "-f", "-", text=changed)
    assert "\x1b[" not in done.stdout
    assert done.returncode == 1
    file = tmp_path / "shop.yaml"
    file.write_text(changed)
    output = on_a_terminal(shop, "diff", "-f", str(file))
    assert re.search(r"\x1b\[32m\+ +image: registry.test/shop:2", output), output
    assert re.search(r"\x1b\[31m- +image: registry.test/shop:1", output), output


def test_a_missing_kubeconfig_is_reported_by_name(world: World, tmp_path: Path) -> None:
    broken = World(world.kube, tmp_path / "nowhere", world.namespace, world.audit_log)
    done = run(broken, "status", "shop")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_explain_reads_a_live_service_by_its_name(shop: World) -> None:
    live = run(shop, "explain", "shop", "-o", "json")
    assert live.returncode == 0, live.stderr
    offline = run(shop, "explain", "-f", "-", "-o", "json", text=document(shop, redis={}))
    decisions = [json.loads(done.stdout)["decisions"] for done in (live, offline)]
    assert decisions[0] == decisions[1]
    missing = run(shop, "explain", "unknown")
    assert missing.returncode == 2
    assert "unknown does not exist" in missing.stderr


def test_explain_compares_services_of_two_namespaces_on_a_page(shop: World) -> None:
    other = f"{shop.namespace}-other"
    shop.kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": other}})
    beside = World(shop.kube, shop.kubeconfig, other, shop.audit_log)
    beside.apply(image="registry.test/shop:2", scaling={"replicas": 3})
    # No operator watches that namespace, so its settings are given.
    done = run(
        shop,
        "explain",
        "shop",
        "--beside",
        f"{other}/shop",
        "-o",
        "html",
        "--settings",
        "/dev/null",
    )
    assert done.returncode == 0, done.stderr
    assert "registry.test/shop:1 · registry.test/shop:2" in done.stdout
    assert f"shop ({shop.namespace})" in done.stdout
    assert f"shop ({other})" in done.stdout
