"""A port of this machine that leads to a port of a service's pods.

Each connection has a stream of its own to a pod that is ready then, so that the port outlives the
pods: after a rollout, the next connection reaches a new one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from fastapi_operator.cluster import port_forward
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError

_LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 64 * 1024


class NoTargetError(Exception):
    """There is no pod for a connection; the message has the remedy."""


@dataclass(frozen=True)
class Target:
    """A port of a pod."""

    pod: str
    port: int


Choose = Callable[[], Awaitable[Target]]
Report = Callable[[str], None]


@contextlib.asynccontextmanager
async def listen(
    client: Client, namespace: str, choose: Choose, *, port: int, report: Report
) -> AsyncIterator[int]:
    """Listens on the loopback address while the context is open.

    Args:
        client: Sends the requests; needs create on pods/portforward.
        namespace: The namespace of the pods.
        choose: Returns the pod and the port for a connection, or raises NoTargetError.
        port: The port of this machine; 0 for a free one.
        report: Called with the reason if a connection fails.

    Yields:
        The port of this machine.

    Raises:
        OSError: The port is in use.
    """
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_serve(client, namespace, choose, reader, writer, report=report))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, _LOOPBACK, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(
    client: Client,
    namespace: str,
    choose: Choose,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    report: Report,
) -> None:
    """Carries one connection."""
    try:
        target = await choose()
        path = port_forward.path(namespace, target.pod, target.port)
        async with client.websocket(path) as socket:
            sending = asyncio.create_task(_send(reader, socket))
            try:
                async for data in port_forward.received(socket):
                    writer.write(data)
                    await writer.drain()
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
    except (ApiError, NoTargetError, aiohttp.ClientError) as error:
        report(str(error))
    except OSError:
        pass  # The client of this machine has closed its connection.
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _send(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    with contextlib.suppress(OSError, aiohttp.ClientError):
        while data := await reader.read(_CHUNK_BYTES):
            await port_forward.send(socket, data)
    # The protocol cannot close one direction alone.
    await socket.close()
