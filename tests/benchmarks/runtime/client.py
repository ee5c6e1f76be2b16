"""A client with a few connections that are kept open; it waits for each response."""

import asyncio
import re
import time

CONNECTIONS = 8
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_REQUEST = (
    b"GET %s HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: benchmark\r\nAccept: */*\r\n"
    b"X-Real-IP: 203.0.113.7\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\r\n"
)


def send(port: int, requests: int, path: str = "/items") -> float:
    """Sends requests to a local server, and returns the requests per second.

    Raises:
        RuntimeError: A response is not 200.
    """
    return asyncio.run(_send(port, requests, _REQUEST % path.encode()))


async def _send(port: int, requests: int, request: bytes) -> float:
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    began = time.perf_counter()
    shares = [
        requests // CONNECTIONS + (number < requests % CONNECTIONS) for number in range(CONNECTIONS)
    ]
    await asyncio.gather(
        *(_exchange(*each, request, share) for each, share in zip(connections, shares, strict=True))
    )
    took = time.perf_counter() - began
    for _, writer in connections:
        writer.close()
        await writer.wait_closed()
    return requests / took


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, requests: int
) -> None:
    for _ in range(requests):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        found = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200") or found is None:
            raise RuntimeError(head.decode())
        await reader.readexactly(int(found[1]))
