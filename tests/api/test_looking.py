"""``logs``, ``shell``, ``psql``, ``redis-cli`` and ``open`` against an API server without nodes.

A program in a pod, its log and its port need a node: tests/parts/test_deploy.py.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fastapi_operator.cli.main import app
from tests.api.test_commands import MAIN
from tests.api.world import World
from tests.cluster.apiserver import ApiServer
from tests.unit.cli.test_deploy import install


def look(world: World, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command about the shop in the test's namespace."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, command, "shop", "-n", world.namespace, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECONFIG": str(world.kubeconfig)},
    )


def invoke(world: World, *arguments: str) -> Result:
    """A command in this process, for tests of a message alone."""
    environment = {"KUBECONFIG": str(world.kubeconfig)}
    return CliRunner().invoke(app, [*arguments, "-n", world.namespace], env=environment)


def start_pod(
    world: World,
    name: str,
    part: str,
    *containers: dict[str, Any],
    ready: bool = True,
    annotations: dict[str, str] | None = None,
) -> None:
    """Creates a pod that no node runs, and plays the kubelet that reports it."""
    labels = {"fastapi-operator.io/service": "shop", "app.kubernetes.io/component": part}
    body = {
        "metadata": {"name": name, "labels": labels, "annotations": annotations or {}},
        "spec": {"containers": [{"image": "registry.test/shop:1", **it} for it in containers]},
    }
    world.kube.request("POST", world.path("pods"), body)
    condition = {
        "type": "Ready",
        "status": str(ready),
        "lastTransitionTime": "2026-11-22T00:00:00Z",
    }
    status = {"phase": "Running", "conditions": [condition]}
    world.kube.patch(f"{world.path('pods', name)}/status", {"status": status})


def tell_url(world: World, url: str) -> None:
    """Writes the URL that an operator would write."""
    status = {"observedGeneration": 1, "url": url}
    path = f"{world.path('fastapiservices', 'shop')}/status"
    world.kube.patch(path, {"status": status})


@pytest.fixture
def kubectl(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{server.programs}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("command", ["logs", "shell", "psql", "redis-cli", "open"])
def test_a_service_that_does_not_exist_is_named(world: World, command: str) -> None:
    done = invoke(world, command, "unknown")
    assert done.exit_code == 2
    assert f"FastAPIService {world.namespace}/unknown does not exist" in done.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("logs", "--part", "proxy"), "the proxy has no such pod"),
        (("shell",), "no pod of the app is running"),
        (("psql",), "the service has no database (spec.postgres)"),
        (("redis-cli",), "neither a cache nor a queue"),
        (("redis-cli", "--queue"), "no queue (spec.queue)"),
        (("open",), "no pod of the app is running"),
    ],
)
def test_missing_parts_are_named(world: World, command: tuple[str, ...], words: str) -> None:
    world.apply()
    name, *options = command
    done = invoke(world, name, "shop", *options)
    assert done.exit_code == 2
    assert words in done.stderr


def test_the_reason_why_a_log_is_not_read_is_a_note(world: World) -> None:
    start_pod(world, "shop-1", "app", {"name": "app"})
    start_pod(world, "shop-proxy-1", "proxy", {"name": "nginx"})
    done = invoke(world, "logs", "shop", "--container", "other")
    assert done.exit_code == 0
    assert "pod shop-1: container other is not valid for pod shop-1" in done.stderr
    assert "shop-proxy-1" not in done.stderr
    # A pod that has not started has an empty log.
    done = invoke(world, "logs", "shop")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_a_shell_runs_in_a_ready_pod_with_the_rights_of_the_user(
    world: World, kubectl: None
) -> None:
    start_pod(world, "shop-1", "app", {"name": "app"}, ready=False)
    start_pod(world, "shop-2", "app", {"name": "app"})
    done = look(world, "shell", "--", "python", "-c", "print(1)")
    assert "in pod shop-2, container app" in done.stderr
    # The pod is on no node; the exit status is that of kubectl.
    assert "pod shop-2 does not have a host assigned" in done.stderr
    assert done.returncode == 1
    done = look(world, "shell", "--pod", "shop-1")
    assert "in pod shop-1, container app" in done.stderr
    done = look(world, "shell", "--pod", "other")
    assert (done.returncode, "those: shop-2, shop-1" in done.stderr) == (2, True)


def test_the_sidecar_of_a_mesh_is_not_taken_for_the_part(world: World, kubectl: None) -> None:
    mesh = {"name": "istio-proxy", "image": "registry.test/mesh:1"}
    start_pod(world, "shop-1", "app", mesh, {"name": "app", "command": ["/srv/bin/uvicorn"]})
    assert "in pod shop-1, container app" in look(world, "shell").stderr
    annotation = {"kubectl.kubernetes.io/default-container": "nginx"}
    start_pod(world, "shop-proxy-1", "proxy", mesh, {"name": "nginx"}, annotations=annotation)
    done = look(world, "shell", "--part", "proxy", "--", "nginx", "-T")
    assert "in pod shop-proxy-1, container nginx" in done.stderr


def test_the_stores_are_reached_in_their_own_pods(world: World, kubectl: None) -> None:
    world.apply(postgres={}, redis={}, queue={"engine": "Valkey"})
    start_pod(world, "shop-postgres-0", "database", {"name": "postgres"})
    for name, part, program in (("redis", "cache", "redis"), ("queue", "queue", "valkey")):
        command = [f"{program}-server", "/etc/x.conf"]
        start_pod(world, f"shop-{name}-0", part, {"name": "redis", "command": command})
    for command, pod in (
        (("psql",), "shop-postgres-0"),
        (("redis-cli",), "shop-redis-0"),
        (("redis-cli", "--queue"), "shop-queue-0"),
    ):
        done = look(world, *command)
        assert f"pod {pod} does not have a host assigned" in done.stderr


def test_a_local_client_gets_the_password_in_its_environment(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.apply(postgres={}, redis={})
    start_pod(world, "shop-postgres-0", "database", {"name": "postgres"})
    start_pod(world, "shop-redis-0", "cache", {"name": "redis", "command": ["redis-server"]})
    for secret, more in (("shop-postgres", {"migrator": "pw-owner"}), ("shop-redis", {})):
        values = {"username": "app_alternate", "password": f"pw-{secret}", **more}
        body = {"metadata": {"name": secret}, "stringData": values}
        world.kube.request("POST", world.path("secrets"), body)
    variables = "$PGUSER,$PGPASSWORD,$PGDATABASE,$PGHOST,$REDISCLI_AUTH"
    for program in ("psql", "redis-cli"):
        # A client prints what it gets, and its port accepts a connection.
        script = (
            f'echo "$*|{variables}"; bash -c ": < /dev/tcp/127.0.0.1/${{PGPORT:-$4}}" || exit 9'
        )
        install(tmp_path, program, f"{script}\nexit 7")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    done = look(world, "psql", "--local", "--", "-c", "select 1")
    assert done.stdout == "-c select 1|app_alternate,pw-shop-postgres,app,127.0.0.1,\n"
    assert done.returncode == 7, "that of the client"
    done = look(world, "psql", "--local", "--role", "owner")
    assert done.stdout == "|migrator,pw-owner,app,127.0.0.1,\n"
    done = look(world, "psql", "--local", "--role", "superuser")
    assert (done.returncode, done.stdout) == (2, "")
    done = look(world, "redis-cli", "--local", "--", "info")
    pattern = r"-h 127\.0\.0\.1 -p \d+ --user app_alternate info\|,,,,pw-shop-redis\n"
    assert re.fullmatch(pattern, done.stdout)
    assert done.returncode == 7


def test_external_stores_have_no_pod(world: World) -> None:
    reference = {"name": "elsewhere"}
    world.apply(
        postgres={"mode": "External", "secretRef": reference, "maxConnections": 50},
        redis={"mode": "External", "secretRef": reference},
    )
    done = invoke(world, "psql", "shop")
    assert (done.exit_code, "does not run the database and has no pooler" in done.stderr) == (
        2,
        True,
    )
    done = invoke(world, "redis-cli", "shop")
    assert (done.exit_code, "the cache is external" in done.stderr) == (2, True)


def test_open_prints_the_url_outside_the_cluster(world: World) -> None:
    world.apply()
    tell_url(world, "https://shop.example.com/")
    done = invoke(world, "open", "shop", "docs")
    assert (done.exit_code, done.stdout) == (0, "https://shop.example.com/docs\n")


def test_open_forwards_a_port_to_the_entry_until_it_is_ended(world: World) -> None:
    world.apply()
    tell_url(world, f"http://shop.{world.namespace}.svc")
    port = {"name": "http", "containerPort": 8080}
    start_pod(world, "shop-1", "app", {"name": "app"})
    start_pod(world, "shop-proxy-1", "proxy", {"name": "nginx", "ports": [port]})
    command = [sys.executable, "-c", MAIN, "open", "shop", "/docs", "-n", world.namespace]
    environment = {**os.environ, "KUBECONFIG": str(world.kubeconfig)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/docs", url)
        # The pod is on no node, so the connection ends, and the reason is printed.
        with pytest.raises((OSError, urllib.error.URLError)):
            urllib.request.urlopen(url, timeout=10)
        assert "end with Ctrl+C" in process.stderr.readline()
        assert "a connection failed: " in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        assert "Traceback" not in process.stderr.read()


def test_open_names_a_port_that_is_in_use(world: World) -> None:
    world.apply()
    start_pod(world, "shop-1", "app", {"name": "app"})
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = invoke(world, "open", "shop", "--port", port)
    assert done.exit_code == 2
    assert f"--port {port}: " in done.stderr


def test_names_of_services_are_completed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.apply("shop")
    world.apply("shipping")
    world.apply("billing")
    code = "from fastapi_operator.cli.completion import kubectl; kubectl()"
    command = [sys.executable, "-c", code, "logs", "-n", world.namespace, "sh"]
    monkeypatch.setenv("KUBECONFIG", str(world.kubeconfig))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["shipping", "shop", ":4"], done.stderr
