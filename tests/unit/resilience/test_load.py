"""The load reports each way in which a request can be lost, and sends none twice."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable

import pytest

from tests.resilience.client import BROKEN, REFUSED, Connection, Request
from tests.resilience.load import Answer, Load

_READ = Request("read", "GET", "/")

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


async def _chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nto\r\n3\r\nget\r\n0\r\n\r\n"
    )


async def _fails(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


async def _hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def _stops_half_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
    writer.close()


async def _asked_once(serve: Serve) -> tuple[str, str, bool]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        connection = await Connection.opened(*server.sockets[0].getsockname())
        ending = await connection.exchange(_READ.encoded("shop", last=False))
        connection.close()
    return ending.outcome, ending.detail, ending.reusable


@pytest.mark.parametrize(
    ("serve", "ending"),
    [
        (_answers, ("200", "ok", True)),
        (_chunks, ("200", "toget", True)),
        (_fails, ("502", "", False)),
    ],
)
async def test_a_response_is_recorded(serve: Serve, ending: tuple[str, str, bool]) -> None:
    assert await _asked_once(serve) == ending


@pytest.mark.parametrize("serve", [_hangs_up, _stops_half_way])
async def test_half_a_response_is_a_failure(serve: Serve) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await _asked_once(serve)


async def _loaded(serve: Serve, requests: int) -> list[Answer]:
    """The results of a load of so many requests for a server."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        return await asyncio.to_thread(_load, _port(server), requests)


def _load(port: int, requests: int) -> list[Answer]:
    with Load("127.0.0.1", itertools.repeat(_READ), port=port, rate=200) as load:
        load.wait_for(requests)
    return load.answers


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def test_new_and_kept_connections_are_mixed() -> None:
    opened = 0

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await _answers(reader, writer)

    answers = await _loaded(counting, 50)
    new = sum(answer.new for answer in answers)
    assert new == -(-len(answers) // 5)
    assert new < opened < len(answers)
    assert all(answer.answered for answer in answers)


async def test_the_requests_of_a_burst_are_due_at_once() -> None:
    server = await asyncio.start_server(_answers, "127.0.0.1", 0)

    def send() -> Load:
        requests = itertools.repeat(_READ)
        with Load("127.0.0.1", requests, port=_port(server), rate=100, burst=10) as load:
            load.wait_for(20)
        return load

    async with server:
        load = await asyncio.to_thread(send)
    due = sorted(answer.at for answer in load.answers)
    assert [due.count(at) for at in sorted(set(due))][:2] == [10, 10]
    assert sorted(set(due))[1] - due[0] == pytest.approx(0.1)


async def test_a_broken_connection_is_recorded_and_its_request_not_repeated() -> None:
    asked = 0

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await _hangs_up(reader, writer)

    answers = await _loaded(counting, 20)
    assert {answer.ending.outcome for answer in answers} == {BROKEN}
    assert asked == len(answers)


async def test_a_failure_has_the_history_of_its_connection() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await _hangs_up(reader, writer)

    answers = await _loaded(once, 20)
    broken = [answer for answer in answers if answer.ending.outcome == BROKEN]
    assert broken
    assert all(re.search(r"kept; port \d+, 1 earlier requests", one.connection) for one in broken)


async def test_each_request_has_its_own_reference() -> None:
    seen = []

    async def reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            seen.append(re.findall(rb"X-Request-ID: (\w+)", head)[0].decode())
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    answers = await _loaded(reading, 20)
    assert {answer.reference for answer in answers} == set(seen)
    assert len(set(seen)) == len(answers)


async def test_a_refused_connection_is_recorded() -> None:
    server = await asyncio.start_server(_answers, "127.0.0.1", 0)
    port = _port(server)
    server.close()
    await server.wait_closed()
    answers = await asyncio.to_thread(_load, port, 10)
    assert {answer.ending.outcome for answer in answers} == {REFUSED}


async def test_a_failed_load_is_an_error() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0\r\n\r\n")

    with pytest.raises(ExceptionGroup):
        await _loaded(nonsense, 20)
