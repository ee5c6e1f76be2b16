"""An application that logs with loguru writes the same lines as one that logs with structlog."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import asgi_lifespan
import httpx2
import loguru
import pytest
import structlog
from fastapi import FastAPI

from fastapi_operator_runtime import RuntimeSettings, install, logs

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(autouse=True)
def _restored_loguru() -> Iterator[None]:
    yield
    loguru.logger.configure(handlers=[{"sink": sys.__stderr__}])


def make(**environment: str) -> FastAPI:
    app = FastAPI()

    @app.get("/loguru")
    async def with_loguru() -> None:
        loguru.logger.bind(answer=42).info("asked {} times", 3)

    @app.get("/structlog")
    async def with_structlog() -> None:
        structlog.stdlib.get_logger("shop").info("asked 3 times", answer=42)

    @app.get("/blocking")
    def in_a_thread() -> None:
        loguru.logger.warning("from a thread")

    @app.get("/error")
    async def error() -> None:
        password = "hunter2"
        try:
            raise ValueError(f"{len(password)} characters")
        except ValueError:
            loguru.logger.exception("refused")

    @app.get("/levels")
    async def levels() -> None:
        loguru.logger.trace("a trace")
        loguru.logger.debug("a detail")
        loguru.logger.success("a success")
        loguru.logger.critical("100% {full}")

    @app.get("/own-keys")
    async def own_keys() -> None:
        loguru.logger.bind(event="theirs", level="theirs", exc_info="theirs").info("mine")

    install(app, RuntimeSettings.load({"OTEL_SERVICE_NAME": "shop", **environment}))
    logs.intercept_loguru()
    return app


async def lines_of(
    app: FastAPI, path: str, capsys: pytest.CaptureFixture[str]
) -> list[dict[str, Any]]:
    """Returns the output of the request, without its canonical line."""
    async with asgi_lifespan.LifespanManager(app) as manager:
        transport = httpx2.ASGITransport(app=manager.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {
                "X-Request-ID": "abc-3",
                "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
            }
            assert (await client.get(path, headers=headers)).status_code == 200
    captured = capsys.readouterr()
    assert captured.err == "", "loguru's own handler is gone"
    lines = [json.loads(line) for line in captured.out.splitlines()]
    return [line for line in lines if line["message"] != "request" and "request_id" in line]


async def test_loguru_lines_have_the_format_of_structlog(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = make()
    (ours,) = await lines_of(app, "/structlog", capsys)
    (theirs,) = await lines_of(app, "/loguru", capsys)
    assert theirs["request_id"] == "abc-3"
    assert theirs["trace_id"] == TRACE
    assert theirs["logger"] == __name__
    volatile = {"timestamp", "logger"}
    assert theirs.keys() == ours.keys()
    assert {key: theirs[key] for key in theirs.keys() - volatile} == {
        key: ours[key] for key in ours.keys() - volatile
    }


async def test_a_thread_of_the_request_logs_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = await lines_of(make(), "/blocking", capsys)
    assert (line["message"], line["level"]) == ("from a thread", "warning")
    assert line["request_id"] == "abc-3"


async def test_an_exception_is_shown_without_local_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (line,) = await lines_of(make(), "/error", capsys)
    assert (line["message"], line["level"]) == ("refused", "error")
    (exception,) = line["exception"]
    assert exception["exc_type"] == "ValueError"
    assert exception["exc_value"] == "7 characters"
    assert exception["frames"][-1]["name"] == "error"
    assert "hunter2" not in json.dumps(line)


@pytest.mark.parametrize(
    ("log_level", "shown"),
    [
        (
            "debug",
            [
                ("debug", "a trace"),
                ("debug", "a detail"),
                ("info", "a success"),
                ("critical", "100% {full}"),
            ],
        ),
        ("info", [("info", "a success"), ("critical", "100% {full}")]),
        ("error", [("critical", "100% {full}")]),
    ],
)
async def test_log_level_selects_the_lines(
    log_level: str, shown: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = await lines_of(make(LOG_LEVEL=log_level), "/levels", capsys)
    assert [(line["level"], line["message"]) for line in lines] == shown


async def test_bound_names_do_not_replace_the_keys_of_the_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (line,) = await lines_of(make(), "/own-keys", capsys)
    assert (line["message"], line["level"]) == ("mine", "info")
    assert "exception" not in line
