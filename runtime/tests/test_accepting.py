"""New connections beside busy ones, with uvloop, and the servers that accept them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import asgi_lifespan
import pytest
import uvloop
from fastapi import FastAPI

from fastapi_operator_runtime import Options, RuntimeSettings, accepting, install, testing

KEPT, NEW = 16, 12


@contextlib.asynccontextmanager
async def connection(port: int) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """A connection; the function sends one request on it and returns the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def get() -> int:
        writer.write(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
        await reader.readexactly(int(length))
        return int(head.split(b" ", 2)[1])

    try:
        yield get
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def served_before_new_connections(port: int) -> int:
    """Returns how many requests on kept connections are served before NEW other ones get theirs.

    Requests and not seconds, because a request takes as long as the machine needs.
    """
    served = itertools.count()

    async def keep_busy() -> None:
        async with connection(port) as get:
            while True:
                assert await get() == 200
                next(served)

    async def connect() -> int:
        async with connection(port) as get:
            return await get()

    kept = [asyncio.create_task(keep_busy()) for _ in range(KEPT)]
    try:
        await asyncio.sleep(3.0)
        before = next(served)
        async with asyncio.timeout(50.0):
            assert set(await asyncio.gather(*(connect() for _ in range(NEW)))) == {200}
        return next(served) - before
    finally:
        for task in kept:
            task.cancel()
        await asyncio.gather(*kept, return_exceptions=True)


async def test_new_connections_are_served_beside_busy_ones(app_directory: Path) -> None:
    with testing.AppServer(
        "served_app:limited", app_directory=app_directory, arguments=["--loop", "uvloop"]
    ) as server:
        # If each iteration accepts one, it is KEPT * NEW.
        assert await served_before_new_connections(server.port) < KEPT * NEW / 2


class Hello(asyncio.Protocol):
    """Greets each connection, and leaves it open."""

    def connection_made(self, transport: Any) -> None:
        transport.write(b"hello")


Bound = dict[str, Any]


def tcp(_directory: Path) -> Bound:
    return {"host": "127.0.0.1", "port": testing.free_port()}


def tcp_socket(_directory: Path) -> Bound:
    return {"sock": socket.create_server(("127.0.0.1", 0))}


def unix(directory: Path) -> Bound:
    return {"path": str(directory / "unix")}


def unix_socket(directory: Path) -> Bound:
    found = socket.socket(socket.AF_UNIX)
    found.bind(str(directory / "unix"))
    return {"sock": found}


async def create(bound: Bound, **options: Any) -> asyncio.AbstractServer:
    loop = asyncio.get_running_loop()
    restore = accepting.accept_bursts(loop)
    try:
        function: Any = loop.create_unix_server if "path" in bound else loop.create_server
        server = await function(Hello, **bound, **options)
    finally:
        restore()
    assert isinstance(server, accepting.Servers)
    return server


async def connect(address: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, str):
        return await asyncio.open_unix_connection(address)
    return await asyncio.open_connection(*address[:2])


async def serves(address: Any, count: int = 40) -> bool:
    """Whether all of several connections at once are accepted."""
    async with asyncio.timeout(10.0):
        streams = await asyncio.gather(*(connect(address) for _ in range(count)))
        greetings = [await reader.readexactly(5) for reader, _ in streams]
    for _, writer in streams:
        writer.close()
    return greetings == [b"hello"] * count


def with_uvloop(coroutine: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)


@pytest.mark.parametrize("bind", [tcp, tcp_socket, unix, unix_socket])
def test_a_closed_server_accepts_nothing(bind: Callable[[Path], Bound], tmp_path: Path) -> None:
    async def run() -> None:
        server = await create(bind(tmp_path))
        (listening,) = server.sockets  # type: ignore[attr-defined]
        address = listening.getsockname()
        assert await serves(address)
        reader, writer = await connect(address)
        await reader.readexactly(5)
        server.close()
        assert not server.is_serving()
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            await connect(address)
        writer.write(b"open connections stay")
        writer.close()
        await asyncio.wait_for(server.wait_closed(), 10.0)

    with_uvloop(run())


def test_a_server_waits_for_its_start() -> None:
    async def run() -> None:
        server = await create(tcp(Path()), start_serving=False)
        assert server.get_loop() is asyncio.get_running_loop()
        (listening,) = server.sockets  # type: ignore[attr-defined]
        address = listening.getsockname()
        with pytest.raises(ConnectionRefusedError):
            await connect(address)
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        assert await serves(address)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(ConnectionRefusedError):
            await connect(address)

    with_uvloop(run())


def test_both_families_get_their_listeners() -> None:
    async def run() -> None:
        port = testing.free_port()
        server = await create({"host": ["127.0.0.1", "::1"], "port": port})
        assert len(server.sockets) == 2  # type: ignore[attr-defined]
        assert await serves(("127.0.0.1", port))
        assert await serves(("::1", port))
        server.close()
        for host in ("127.0.0.1", "::1"):
            with pytest.raises(ConnectionRefusedError):
                await connect((host, port))

    with_uvloop(run())


@pytest.mark.parametrize("wanted", [False, True])
def test_only_the_loop_of_the_application_is_changed(wanted: bool) -> None:
    async def run() -> None:
        app = FastAPI()
        install(app, RuntimeSettings(), options=Options(logs=False, accept_bursts=wanted))
        loop = asyncio.get_running_loop()
        async with asgi_lifespan.LifespanManager(app):
            assert bool(vars(loop)) == wanted
        assert not vars(loop)

    with_uvloop(run())
    with asyncio.Runner() as runner:
        assert not accepting.accept_bursts(runner.get_loop())()  # type: ignore[func-returns-value]
