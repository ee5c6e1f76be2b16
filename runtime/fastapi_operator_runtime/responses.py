"""JSON responses of the runtime's own middleware, which runs outside of FastAPI."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from starlette.types import Send


async def send_json(
    send: Send,
    status: int,
    body: Mapping[str, object],
    *,
    content_type: str = "application/json",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Sends `body` as a JSON response that must not be cached."""
    content = json.dumps(body).encode()
    all_headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": content})
