"""One HTTP/1.1 connection that reports exactly how a request ended, and sends none twice."""

import asyncio
import time
from dataclasses import dataclass

REFUSED, BROKEN, TIMEOUT = "refused", "broken", "timeout"


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        kind: Its purpose, by the name that scenarios use.
        method: The method.
        path: Path and query.
        body: JSON to send.
    """

    kind: str
    method: str
    path: str
    body: bytes = b""

    def encoded(self, host: str, *, last: bool, reference: str = "") -> bytes:
        """Returns its bytes.

        Args:
            host: The Host header.
            last: Whether the server shall close the connection.
            reference: Its id in the logs of proxy and app.
        """
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        if reference:
            lines.append(f"X-Request-ID: {reference}")
        if self.body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        if last:
            lines.append("Connection: close")
        return "\r\n".join((*lines, "", "")).encode() + self.body


@dataclass(frozen=True)
class Ending:
    """How a request ended.

    Attributes:
        outcome: The status, or ``refused``, ``broken`` or ``timeout``.
        detail: The response, or the error.
        reusable: Whether the connection takes another request.
        retry_after: The response's Retry-After.
        served_by: The pod that served it, if its app names itself.
    """

    outcome: str
    detail: str = ""
    reusable: bool = False
    retry_after: str = ""
    served_by: str = ""


class Connection:
    """One connection, kept alive while both sides want it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._requests = 0
        self._used = time.monotonic()

    @classmethod
    async def opened(cls, host: str, port: int) -> "Connection":
        """A new connection."""
        return cls(*await asyncio.open_connection(host, port))

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it, as far as is known here."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    def history(self) -> str:
        """Returns its local port, its requests so far, and how long it has rested."""
        port = self._writer.get_extra_info("sockname")[1]
        rested = time.monotonic() - self._used
        return f"port {port}, {self._requests} earlier requests, rested {rested:.3f} s"

    def close(self) -> None:
        """Ends it."""
        self._writer.close()

    async def exchange(self, encoded: bytes) -> Ending:
        """Sends a request and reads its response to the end.

        Raises:
            OSError: The connection broke.
            asyncio.IncompleteReadError: The connection ended before the response did.
        """
        self._writer.write(encoded)
        status, headers = await self._head()
        body = await self._body(status, headers)
        reusable = headers.get("connection", "").lower() != "close"
        self._requests += 1
        self._used = time.monotonic()
        detail = body[:300].decode(errors="replace")
        return Ending(
            status,
            detail,
            reusable,
            headers.get("retry-after", ""),
            headers.get("x-served-by", ""),
        )

    async def _head(self) -> tuple[str, dict[str, str]]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return first.split()[1], {name.lower(): value.strip() for name, _, value in pairs}

    async def _body(self, status: str, headers: dict[str, str]) -> bytes:
        if status in ("204", "304"):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int((await self._reader.readline()).split(b";")[0], 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readexactly(2)
            return body
        return await self._reader.readexactly(int(headers["content-length"]))
