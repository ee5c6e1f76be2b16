"""HTTP requests to a port of a pod through ``pods/portforward``, also to its loopback address.

The API server and the kubelet carry the bytes, so that no port is exposed, no network policy
matters, and RBAC decides who may connect. One websocket carries one connection: each message
starts with the number of its channel, 0 for data and 1 for an error, and the first message of each
channel is the number of the port.
"""

import asyncio
from collections.abc import AsyncIterator

import aiohttp

from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import POD

_DATA, _ERROR = 0, 1
_PORT_BYTES = 2
# More than the page of a pod with many series; a profile is smaller.
_PAGE_BYTES = 64 * 2**20


async def get(
    client: Client, namespace: str, pod: str, port: int, address: str, *, seconds: float
) -> str:
    """Reads a page of a pod's port, for example ``/metrics``.

    Raises:
        ApiError: The API server refused, no process listens, or the page has another status than
            200.
    """
    try:
        async with (
            asyncio.timeout(seconds),
            client.websocket(path(namespace, pod, port)) as socket,
        ):
            return await _request(socket, f"{pod}:{port}", address)
    except TimeoutError:
        message = f"no response of pod {pod}, port {port}, within {seconds:g} s"
        raise ApiError(0, "Timeout", message) from None


async def _request(socket: aiohttp.ClientWebSocketResponse, host: str, address: str) -> str:
    request = f"GET {address} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    reader = asyncio.StreamReader(limit=_PAGE_BYTES)
    receiving = asyncio.create_task(_receive(socket, reader))
    try:
        await send(socket, request.encode())
        return await _read_response(reader)
    except (asyncio.IncompleteReadError, ValueError, OSError, aiohttp.ClientError) as error:
        # The kubelet closes the stream after its own error, which has the reason.
        await receiving
        raise ApiError(0, "NoAnswer", f"not a complete HTTP response: {error}") from error
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


async def _receive(socket: aiohttp.ClientWebSocketResponse, reader: asyncio.StreamReader) -> None:
    """Feeds the data into the reader.

    Raises:
        ApiError: The kubelet reports an error, for example a refused connection.
    """
    size = 0
    try:
        async for data in received(socket):
            size += len(data)
            if size > _PAGE_BYTES:
                raise ApiError(0, "TooLarge", f"the page exceeds {_PAGE_BYTES} bytes")
            reader.feed_data(data)
    finally:
        reader.feed_eof()


async def received(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[bytes]:
    """Yields the data that the port sends.

    Raises:
        ApiError: The kubelet reports an error, for example a refused connection.
    """
    started: set[int] = set()
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel not in started:
            started.add(channel)
            data = data[_PORT_BYTES:]
        if channel == _ERROR and data:
            raise ApiError(0, "PortForward", data.decode(errors="replace").strip())
        yield data


async def send(socket: aiohttp.ClientWebSocketResponse, data: bytes) -> None:
    """Sends data to the port."""
    await socket.send_bytes(bytes([_DATA]) + data)


def path(namespace: str, pod: str, port: int) -> str:
    """Returns the path of the stream to a port of a pod."""
    return f"{POD.path(namespace, pod, 'portforward')}?ports={port}"


async def _read_response(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, _, rest = head[0].partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(head[0][:40])
    status, headers = int(rest[:3]), {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    text = (await _read_body(reader, headers)).decode(errors="replace")
    if status != 200:
        raise ApiError(status, rest[4:], text.strip()[:400])
    return text


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    """Reads the body by its length or its chunks, because the kubelet closes a second late."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = bytearray()
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        return bytes(body)
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read()
