"""Each part that a request does not show can be disabled, and is enabled by default."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import asgi_lifespan
import httpx2
import pytest
import sentry_sdk
from fastapi import FastAPI

from fastapi_operator_runtime import Options, RuntimeSettings, install, testing


@contextlib.asynccontextmanager
async def running(options: Options, **environment: str) -> AsyncIterator[None]:
    app = FastAPI()
    install(app, RuntimeSettings.load(environment), options=options)
    async with asgi_lifespan.LifespanManager(app):
        yield


async def status(port: int, path: str) -> int | None:
    """Returns the response of a private port; None if no process listens."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(20):
            with contextlib.suppress(httpx2.ConnectError):
                return (await client.get(path)).status_code
    return None


@pytest.mark.parametrize(
    ("options", "metrics", "stacks"),
    [
        (Options(logs=False), 200, 200),
        (Options(logs=False, profiling=False), 200, None),
        (Options(logs=False, metrics=False), None, 200),
        (Options(logs=False, metrics=False, profiling=False), None, None),
    ],
)
async def test_metrics_and_profiling(
    options: Options, metrics: int | None, stacks: int | None
) -> None:
    port, other = testing.free_port(), testing.free_port()
    async with running(options, METRICS_PORT=str(port), DIAGNOSTICS_PORT=str(other)):
        assert await status(port, "/metrics") == metrics
        assert await status(other, "/debug/stacks") == stacks


@pytest.fixture
def _sentry_off() -> Iterator[None]:
    yield
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


@pytest.mark.usefixtures("_sentry_off")
@pytest.mark.parametrize("wanted", [False, True])
async def test_errors(wanted: bool) -> None:
    async with running(Options(logs=False, errors=wanted), SENTRY_DSN="http://key@127.0.0.1:9/1"):
        assert sentry_sdk.is_initialized() == wanted


@pytest.fixture
def handler() -> Iterator[Callable[..., None]]:
    """A handler of SIGTERM, as a server has installed it."""
    before = signal.getsignal(signal.SIGTERM)

    def of_the_server(*_arguments: object) -> None: ...

    signal.signal(signal.SIGTERM, of_the_server)
    yield of_the_server
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("wanted", [False, True])
async def test_drain(handler: Callable[..., None], wanted: bool) -> None:
    async with running(Options(logs=False, drain=wanted)):
        assert (signal.getsignal(signal.SIGTERM) != handler) == wanted
    assert signal.getsignal(signal.SIGTERM) == handler, "the server's own is put back"


@pytest.mark.parametrize("seconds", [None, 1.0])
async def test_stalls(seconds: float | None) -> None:
    before = set(threading.enumerate())
    async with running(Options(logs=False, stall_seconds=seconds)):
        started = {thread.name for thread in set(threading.enumerate()) - before}
        assert ("loop-watchdog" in started) == (seconds is not None)


@pytest.mark.parametrize("wanted", [False, True])
async def test_short_collections(wanted: bool) -> None:
    async with running(Options(logs=False, short_collections=wanted)):
        assert (gc.get_freeze_count() > 10_000) == wanted
        # What a full collection looks at.
        assert (len(gc.get_objects()) < 10_000) == wanted
    assert gc.get_freeze_count() == 0
