"""A text that does not end, read from a real HTTP server."""

import asyncio
import contextlib

import pytest
from kubernetes.aio import client

from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def read(*pieces: bytes, head: bytes = HEAD, ends: bool = True) -> list[str]:
    """Returns the lines of a response that arrives in pieces."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0.02)
        if ends:
            writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    configuration = client.Configuration()
    configuration.host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    requests = Client(configuration)
    try:
        return [line async for line in requests.lines("/log?follow=true")]
    finally:
        await requests.close()
        with contextlib.suppress(OSError):
            server.close()


async def test_lines_are_whole_also_if_they_arrive_in_pieces() -> None:
    long = "x" * 300_000
    found = await read(b"one\ntw", b"o\n\n", long.encode(), b"\nthree", b" and \xff")
    assert found == ["one", "two", "", long, "three and �"]
    assert await read() == []


async def test_a_refusal_and_a_lost_connection_are_errors() -> None:
    body = b'{"message": "container app is waiting", "reason": "BadRequest"}'
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with pytest.raises(ApiError) as caught:
        await read(head=head, ends=False)
    assert str(caught.value) == "400 BadRequest: container app is waiting"
    with pytest.raises(ApiError) as caught:
        await read(b"one\n", ends=False)
    assert caught.value.status == 0
