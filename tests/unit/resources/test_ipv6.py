"""Each program on the loopback address of IPv6, and nginx on a node without IPv6."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi_operator_runtime.testing.server import free_port

from fastapi_operator.facts import Facts
from fastapi_operator.resources.build import build
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.resources.caddy import Caddy
from tests.unit.resources.nginx import Nginx
from tests.unit.resources.operands import Pod, eventually, listens
from tests.unit.resources.stores import ENGINES, Store
from tests.unit.resources.test_pooler import pod, serving  # noqa: F401 (a fixture)
from tests.unit.resources.test_servers import APP_BIN, HEARTBEAT_DIRECTORY, several
from tests.unit.resources.web import App, ask, received
from tests.unit.services import service


@pytest.mark.parametrize("engine", ["Nginx", "Caddy"])
def test_a_proxy_serves_clients_of_both_families(
    engine: str, nginx: Nginx, caddy: Caddy, app: App
) -> None:
    proxy = nginx if engine == "Nginx" else caddy
    with proxy.running():
        for host in ("::1", "127.0.0.1"):
            seen = received(ask(proxy.pod.port(8080), host=host))
            assert seen["X-Forwarded-For"] == host
            assert ask(proxy.pod.port(8081), "/healthz", host=host).status == 200


def test_nginx_starts_on_a_node_without_ipv6(nginx: Nginx) -> None:
    shell, option, script = nginx.written()
    missing = script.replace("/proc/net/if_inet6", "/proc/net/missing")
    assert missing != script
    with nginx.pod.running(shell, option, missing):
        eventually(lambda: listens(nginx.pod.port(8080)), nginx.pod.output())
        assert nginx.get("/healthz", 8081).status == 200
        with pytest.raises(OSError):
            ask(nginx.pod.port(8080), host="::1")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_store_serves_clients_of_both_families(tmp_path: Path, engine: str) -> None:
    store = Store(tmp_path, "redis", engine, redis={"engine": engine})
    with store.running():
        assert _connects(store.pod.port(6379)) == ["::1", "127.0.0.1"]


def test_the_pooler_serves_clients_of_both_families(pod: Pod) -> None:  # noqa: F811 (the fixture)
    with serving(pod):
        assert _connects(pod.port(5432)) == ["::1", "127.0.0.1"]


def _connects(port: int) -> list[str]:
    found = []
    for host in ("::1", "127.0.0.1"):
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5):
            found.append(host)
    return found


@pytest.mark.parametrize(
    "server",
    [several(e, n) for e in ("Uvicorn", "Gunicorn", "Granian") for n in (1, 2)],
    ids=lambda server: f"{server['engine']}-{server['workers']}",
)
def test_the_apps_server_listens_on_ipv6_in_a_cluster_of_ipv6(
    server: dict[str, Any], tmp_path: Path
) -> None:
    port = free_port()
    with _serving(server, port, tmp_path) as log:
        eventually(lambda: _status(port) == 200, log.read_text(), seconds=60)


@contextlib.contextmanager
def _serving(server: dict[str, Any], port: int, directory: Path) -> Iterator[Path]:
    given = service(app="served:app", port=port, server=server)
    facts = Facts(ipv6=True)
    objects = build(given, derive(given, Settings(), facts), Settings(), facts)
    (template,) = (item.pod_template for item in objects if item.key.name == "shop"
                   and item.key.kind == "Deployment")  # fmt: skip
    assert template is not None
    rendered = template["spec"]["containers"][0]
    variables = {entry["name"]: entry["value"] for entry in rendered["env"] if "value" in entry}
    arguments = variables.get("GUNICORN_CMD_ARGS", "")
    variables["GUNICORN_CMD_ARGS"] = arguments.replace(HEARTBEAT_DIRECTORY, str(directory))
    variables["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    variables["METRICS_PORT"] = str(free_port())
    program, *rest = rendered["command"]
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [APP_BIN / program, *rest],
            env={"PATH": os.defpath, **variables},
            cwd=Path(__file__).parent / "served",
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _status(port: int) -> int:
    connection = http.client.HTTPConnection("::1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", "/slow?seconds=0")
        return connection.getresponse().status
    return 0
