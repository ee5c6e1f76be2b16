"""Several new connections in each iteration of uvloop.

The libuv of uvloop 0.18 and later accepts one connection for each listening socket in an iteration
of the loop (libuv#3696). An iteration also serves all requests that have arrived on open
connections. So if it has 32 requests of 10 ms, the process accepts three connections a second, and
the others wait in the kernel until their clients give up. asyncio's own loop accepts all of them.

Duplicates of a listening socket share its queue, and the loop accepts one connection for each.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

LISTENERS = 16
"""Listeners of each socket: so many connections are accepted in an iteration.

Measured with a process that has 0.2 CPU, and 32 connections at once with requests of 2.8 ms: the
last one was served after 7.0 s with one listener, 1.5 to 1.7 s with 8, 1.2 to 1.65 s with 16 and
1.3 to 1.6 s with 32. A connection costs one system call more for each listener. That is too little
to measure: a request on a new connection took 335 to 438 µs of CPU with one listener, and 292 to
351 µs with 16.
"""

Create = Callable[..., Awaitable[asyncio.AbstractServer]]

_BINDING = frozenset(
    ("host", "port", "family", "flags", "reuse_address", "reuse_port", "path", "sock")
)
"""Options that describe the socket, which a duplicate has already."""


def accept_bursts(loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Lets the servers that `loop` creates from now on accept several connections at once.

    Returns:
        Ends this for further servers.
    """
    uvloop = sys.modules.get("uvloop")
    if uvloop is None or not isinstance(loop, uvloop.Loop):
        return lambda: None
    tcp, unix = loop.create_server, loop.create_unix_server

    def wrapped(create: Create) -> Create:
        async def create_all(factory: Any, *binding: Any, **options: Any) -> asyncio.AbstractServer:
            first = await create(factory, *binding, **options)
            if isinstance(first, Servers):  # create_server calls create_unix_server
                return first
            kept = {name: value for name, value in options.items() if name not in _BINDING}
            servers = Servers([first])
            try:
                for bound in first.sockets:  # type: ignore[attr-defined]
                    again = unix if bound.family == socket.AF_UNIX else tcp
                    for _ in range(LISTENERS - 1):
                        duplicate = socket.socket(fileno=os.dup(bound.fileno()))
                        servers.add(await again(factory, sock=duplicate, **kept))
            except BaseException:
                servers.close()
                raise
            return servers

        return create_all

    added = {"create_server": wrapped(tcp), "create_unix_server": wrapped(unix)}
    vars(loop).update(added)

    def restore() -> None:
        for name, create in added.items():
            if vars(loop).get(name) is create:
                delattr(loop, name)

    return restore


class Servers(asyncio.AbstractServer):
    """The servers of the same sockets, as one."""

    def __init__(self, servers: list[Any]) -> None:
        self._servers = servers

    def add(self, server: Any) -> None:
        """Adds the server of a duplicate."""
        self._servers.append(server)

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """The sockets without their duplicates."""
        sockets: Sequence[socket.socket] = self._servers[0].sockets
        return sockets

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of all servers."""
        loop: asyncio.AbstractEventLoop = self._servers[0].get_loop()
        return loop

    def is_serving(self) -> bool:
        """Whether connections are accepted."""
        return bool(self._servers[0].is_serving())

    def close(self) -> None:
        """Stops accepting; open connections continue."""
        for server in self._servers:
            server.close()

    async def start_serving(self) -> None:
        """Starts accepting, if the servers were created with `start_serving=False`."""
        for server in self._servers:
            await server.start_serving()

    async def serve_forever(self) -> None:
        """Accepts connections until it is cancelled."""
        await self.start_serving()
        try:
            await self._servers[0].serve_forever()
        finally:
            self.close()
            await self.wait_closed()

    async def wait_closed(self) -> None:
        """Waits until all servers are closed."""
        for server in self._servers:
            await server.wait_closed()
