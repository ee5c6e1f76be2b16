"""``/metrics``, ``/healthz`` and ``/readyz`` on one port; three fixed paths need no framework."""

import asyncio
import socket
from collections.abc import Callable

from fastapi_operator.reconcile.loop.telemetry import Telemetry

_REQUEST_SECONDS = 5.0
_PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"

# Returns the problem; empty if there is none.
Check = Callable[[], str]


class Endpoint:
    """A small HTTP server for the kubelet and Prometheus."""

    def __init__(self, telemetry: Telemetry, *, healthy: Check, ready: Check) -> None:
        self._telemetry = telemetry
        self._checks = {"/healthz": healthy, "/readyz": ready}

    async def serve(self, port: int) -> asyncio.Server:
        """Listens on all addresses of the pod; port 0 selects a free port."""
        return await asyncio.start_server(self._handle, sock=_listening(port), limit=8192)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                line = await reader.readline()
                while await reader.readline() not in (b"\r\n", b"\n", b""):
                    pass
                status, kind, body = self._respond(line.decode("latin-1").split())
                head = (
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
        except (TimeoutError, OSError, ValueError):
            # The client has closed the connection, or did not send HTTP.
            pass
        finally:
            writer.close()

    def _respond(self, request: list[str]) -> tuple[str, str, bytes]:
        path = request[1].partition("?")[0] if len(request) == 3 else ""
        if path == "/metrics":
            return "200 OK", _PROMETHEUS_TEXT, self._telemetry.exposition()
        check = self._checks.get(path)
        if check is None:
            return "404 Not Found", "text/plain", b"not found\n"
        wrong = check()
        if wrong:
            return "503 Service Unavailable", "text/plain", f"{wrong}\n".encode()
        return "200 OK", "text/plain", b"ok\n"


def _listening(port: int) -> socket.socket:
    """Returns a socket for IPv4 and IPv6, or for IPv4 if the node has no IPv6."""
    try:
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError):
        return socket.create_server(("0.0.0.0", port))  # noqa: S104 (a pod's own)
