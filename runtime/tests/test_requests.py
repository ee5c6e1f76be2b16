from __future__ import annotations

import json
from typing import Any

import asgi_lifespan
import httpx2
import prometheus_client
import pytest
import structlog
from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles

from fastapi_operator_runtime import Options, RuntimeSettings, install

COUNT = "http_server_request_duration_seconds_count"


def make(options: Options | None = None) -> FastAPI:
    """Two routers with equal inner paths, nested; a mount; a mount with a parameter."""
    app = FastAPI()
    inner = APIRouter(prefix="/parts")

    @inner.get("/{part_id}")
    async def part(item_id: int, part_id: int) -> None: ...

    for prefix in ("/items", "/users"):
        router = APIRouter(prefix=prefix)

        @router.get("/{item_id}")
        async def one(item_id: int) -> None: ...

        router.include_router(inner, prefix="/{item_id}")
        app.include_router(router, prefix="/api/v1")

    mounted = FastAPI()

    @mounted.get("/things/{thing_id}")
    async def thing(thing_id: int) -> None: ...

    app.mount("/mounted", mounted)
    app.mount("/tenants/{tenant}", mounted)

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError("bug with a secret")

    @app.get("/logs")
    async def logs() -> None:
        structlog.stdlib.get_logger("shop").info("inside", answer=42)

    install(app, RuntimeSettings.load({"OTEL_SERVICE_NAME": "shop"}), options=options)
    return app


async def call(app: FastAPI, path: str, method: str = "GET", **headers: str) -> httpx2.Response:
    async with asgi_lifespan.LifespanManager(app) as manager:
        transport = httpx2.ASGITransport(app=manager.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(
                method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )


def counted(method: str, route: str, status: int) -> float:
    labels = {
        "http_request_method": method,
        "http_route": route,
        "http_response_status_code": str(status),
    }
    return prometheus_client.REGISTRY.get_sample_value(COUNT, labels) or 0.0


def canonical(output: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in output.splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    assert len(requests) == 1, output
    return requests[0]


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/api/v1/items/1", "/api/v1/items/{item_id}", 200),
        ("GET", "/api/v1/users/1", "/api/v1/users/{item_id}", 200),
        ("GET", "/api/v1/users/1/parts/2", "/api/v1/users/{item_id}/parts/{part_id}", 200),
        ("GET", "/api/v1/items/one", "/api/v1/items/{item_id}", 422),
        ("DELETE", "/api/v1/items/1", "/api/v1/items/{item_id}", 405),
        ("GET", "/mounted/things/3", "/mounted/things/{thing_id}", 200),
        ("GET", "/mounted/nothing", "/mounted/{path}", 404),
        ("GET", "/tenants/acme/things/3", "/tenants/{tenant}/things/{thing_id}", 200),
        ("GET", "/fails", "/fails", 500),
        ("GET", "/nowhere/1234", "", 404),
        ("BREW", "/nowhere", "", 404),
    ],
)
async def test_a_request_is_counted_under_its_full_route_template(
    method: str, path: str, route: str, status: int
) -> None:
    app = make(Options(logs=False))
    label = "_OTHER" if method == "BREW" else method
    before = counted(label, route, status)
    response = await call(app, path, method)
    assert response.status_code == status
    assert counted(label, route, status) == before + 1


async def test_static_files_are_one_route(tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_text("a")
    app = FastAPI()
    app.mount("/static", StaticFiles(directory=tmp_path))
    install(app, RuntimeSettings.load({}), options=Options(logs=False))
    before = counted("GET", "/static/{path}", 200)
    assert (await call(app, "/static/a.txt")).status_code == 200
    assert counted("GET", "/static/{path}", 200) == before + 1


async def test_probes_are_neither_counted_nor_logged(capsys: pytest.CaptureFixture[str]) -> None:
    app = make()
    capsys.readouterr()
    before = prometheus_client.generate_latest()
    await call(app, "/readyz")
    assert "request" not in [
        json.loads(x)["message"] for x in capsys.readouterr().out.split("\n") if x
    ]
    after = prometheus_client.generate_latest()
    name = COUNT.encode()
    assert [x for x in after.splitlines() if name in x] == [
        x for x in before.splitlines() if name in x
    ]


async def test_each_request_writes_one_complete_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    response = await call(
        make(),
        "/api/v1/items/1?password=hunter2",
        x_request_id="abc-1",
        traceparent=f"00-{trace}-00f067aa0ba902b7-01",
    )
    assert response.headers["x-request-id"] == "abc-1"
    output = capsys.readouterr().out
    line = canonical(output)
    assert line["http.request.method"] == "GET"
    assert line["http.route"] == "/api/v1/items/{item_id}"
    assert line["url.path"] == "/api/v1/items/1"
    assert line["http.response.status_code"] == 200
    assert line["http.response.body.size"] == 4
    assert line["duration_ms"] > 0
    assert line["service.name"] == "shop"
    assert line["level"] == "info"
    assert line["request_id"] == "abc-1"
    assert line["trace_id"] == trace
    assert "hunter2" not in output, "the query may hold secrets"


@pytest.mark.parametrize("given", ["", "a" * 200, 'x"; DROP', "a b"])
async def test_a_dangerous_request_id_is_replaced(given: str) -> None:
    response = await call(make(Options(logs=False)), "/api/v1/items/1", x_request_id=given)
    assert len(response.headers["x-request-id"]) == 32


async def test_log_lines_inside_a_request_carry_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    await call(make(), "/logs", x_request_id="abc-2")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    inside = next(line for line in lines if line["message"] == "inside")
    assert inside["request_id"] == "abc-2"
    assert inside["answer"] == 42
    assert inside["logger"] == "shop"


async def test_an_unexpected_error_returns_500_and_logs_the_request_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    response = await call(make(), "/fails")
    assert response.status_code == 500
    line = canonical(capsys.readouterr().out)
    assert line["http.response.status_code"] == 500
    assert line["error.type"] == "RuntimeError"
    assert line["level"] == "error"
    assert response.headers["x-request-id"] == line["request_id"]


async def test_a_draining_process_closes_connections() -> None:
    app = make(Options(logs=False))
    async with asgi_lifespan.LifespanManager(app) as manager:
        transport = httpx2.ASGITransport(app=manager.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            assert "connection" not in (await client.get("/api/v1/items/1")).headers
            app.state.worker.draining = True
            assert (await client.get("/api/v1/items/1")).headers["connection"] == "close"


async def test_every_part_can_be_disabled(capsys: pytest.CaptureFixture[str]) -> None:
    app = make(Options(health=False, metrics=False, logs=False, request_ids=False))
    before = counted("GET", "/api/v1/items/{item_id}", 200)
    response = await call(app, "/api/v1/items/1")
    assert response.status_code == 200
    assert "x-request-id" not in response.headers
    assert counted("GET", "/api/v1/items/{item_id}", 200) == before
    assert capsys.readouterr().out == ""


async def test_install_after_the_first_request_raises() -> None:
    app = FastAPI()
    await call(app, "/")
    with pytest.raises(RuntimeError, match="before the application's first request"):
        install(app, RuntimeSettings.load({}))
