"""The canonical line, which is formatted without the chain of structlog if that has no effect."""

from __future__ import annotations

import concurrent.futures
import json
import logging
import os
import signal
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asgi_lifespan
import httpx2
import pytest
import structlog
from fastapi import FastAPI

from fastapi_operator_runtime import RuntimeSettings, install, logs, testing

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
VARYING = {"duration_ms", "timestamp"}


def make() -> FastAPI:
    app = FastAPI()

    @app.get("/plain/{name}")
    async def plain(name: str) -> str:
        return name

    @app.get("/bound")
    async def bound(user: str) -> str:
        structlog.contextvars.bind_contextvars(user=user, roles=["a", "b"], object=Path("x"))
        return user

    @app.get("/rebound")
    async def rebound() -> None:
        structlog.contextvars.bind_contextvars(request_id="mine")

    @app.get("/collides")
    async def collides() -> None:
        structlog.contextvars.bind_contextvars(level="mine", status="other")

    install(app, RuntimeSettings.load({"OTEL_SERVICE_NAME": 'a "shop"'}))
    return app


async def line_of(path: str, capsys: pytest.CaptureFixture[str], *, changed: bool) -> Any:
    """Returns the line of a request; if the log was changed, it passes the chain of structlog."""
    app = make()
    seen: list[logging.LogRecord] = []
    if changed:
        watching = logging.Handler()
        watching.emit = seen.append  # type: ignore[method-assign]
        logging.getLogger().addHandler(watching)
    capsys.readouterr()
    async with asgi_lifespan.LifespanManager(app) as manager:
        transport = httpx2.ASGITransport(app=manager.app, client=("::1", 5))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"traceparent": TRACE, "x-request-id": "abc-1"}
            await client.get(path, headers=headers)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (line,) = [line for line in lines if line["logger"] == logs.REQUEST_LOGGER]
    assert any(record.name == logs.REQUEST_LOGGER for record in seen) is changed
    return line


@pytest.mark.parametrize(
    "path",
    [
        "/plain/1",
        "/plain/%22%0A%C3%A9%F0%9F%98%80",
        "/nowhere",
        "/bound?user=%22eve%22",
        "/rebound",
    ],
)
async def test_a_formatted_line_equals_a_logged_one(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    formatted = await line_of(path, capsys, changed=False)
    logged = await line_of(path, capsys, changed=True)
    assert {name: type(formatted[name]) for name in VARYING} == {
        "duration_ms": float,
        "timestamp": str,
    }
    assert len(formatted["timestamp"]) == len(logged["timestamp"])
    for name in VARYING:
        del formatted[name], logged[name]
    assert formatted == logged
    assert formatted["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_values_that_the_application_binds_replace_no_field(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = make()
    capsys.readouterr()
    async with asgi_lifespan.LifespanManager(app) as manager:
        transport = httpx2.ASGITransport(app=manager.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get("/collides")
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["status"]) == ("info", "other")


def requests_in(server: testing.AppServer) -> list[dict[str, Any]]:
    return [line for line in server.log_lines() if line["message"] == "request"]


def get(url: str) -> None:
    with urllib.request.urlopen(url, timeout=30) as response:
        response.read()


def test_a_line_is_written_within_a_tenth_of_a_second(app_directory: Path) -> None:
    with testing.AppServer("served_app:app", app_directory=app_directory) as server:
        get(f"{server.url}/fast/1")
        time.sleep(0.1)
        assert len(requests_in(server)) == 1


def test_a_killed_process_loses_only_the_last_moment(app_directory: Path) -> None:
    with testing.AppServer("served_app:app", app_directory=app_directory) as server:
        for number in range(20):
            get(f"{server.url}/fast/{number}")
        time.sleep(0.1)
        get(f"{server.url}/fast/20")
        os.kill(server.pid, signal.SIGKILL)
        assert 20 <= len(requests_in(server)) <= 21


def test_a_stopped_process_loses_no_line(app_directory: Path) -> None:
    with testing.AppServer("served_app:app", app_directory=app_directory) as server:
        for number in range(20):
            get(f"{server.url}/fast/{number}")
        server.terminate()
        server.wait()
        assert len(requests_in(server)) == 20


def test_lines_precede_the_later_records_of_the_application(app_directory: Path) -> None:
    with testing.AppServer("served_app:app", app_directory=app_directory) as server:
        get(f"{server.url}/fast/1")
        get(f"{server.url}/logs")
        time.sleep(0.1)
        lines = server.log_lines()
        messages = [line["message"] for line in lines if "served_app" in line["logger"]]
        paths = [line.get("url.path", line["message"]) for line in lines][-3:]
        assert messages == ["inside"]
        assert paths == ["/fast/1", "inside", "/logs"]


def test_lines_of_two_workers_on_a_pipe_are_not_mixed(app_directory: Path) -> None:
    """A container's output is a pipe, on which only small writes are atomic."""

    class PipedServer(testing.AppServer):
        def command(self) -> Sequence[str]:
            return ["bash", "-c", 'exec "$@" > >(cat)', "bash", *super().command()]

    with PipedServer("served_app:app", workers=2, app_directory=app_directory) as server:
        urls = [f"{server.url}/fast/{number}" for number in range(3000)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(get, urls))
        server.terminate()
        server.wait()
        time.sleep(0.5)  # until `cat` has written all
        assert {line["url.path"] for line in requests_in(server)} == {
            f"/fast/{number}" for number in range(len(urls))
        }
