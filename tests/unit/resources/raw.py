"""A real app behind a proxy under test, and requests whose target is sent exactly as written."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fastapi_operator_runtime.testing.server import free_port

from tests.unit.resources.operands import container, eventually, listens, wanted

APP_BIN = Path(__file__).resolve().parents[3] / ".venv-app/bin"
SERVED = Path(__file__).parent / "served"


class Response(NamedTuple):
    """The status of a response, and the request as the app received it."""

    status: int
    seen: dict[str, Any]


@contextmanager
def served(log: Path, app: str = "paths:app", **spec: Any) -> Iterator[int]:
    """Runs an app of ``served`` as a service with this spec does; yields its port."""
    port = free_port()
    objects = wanted(app=app, port=port, redis=None, postgres=None, **spec)
    rendered = container(objects, "Deployment/shop", "app")
    environment = {e["name"]: e["value"] for e in rendered["env"] if "value" in e}
    program, *rest = rendered["command"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [APP_BIN / program, *rest],
            env={"PATH": os.defpath, **environment},
            cwd=SERVED,
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: process.poll() is not None or listens(port), "the app listens", 60)
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.terminate()
        process.wait(30)


def send(
    port: int,
    target: str,
    *,
    method: str = "GET",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
) -> Response:
    """Sends one request; the target and the headers are sent as written."""
    lines = [f"{method} {target} HTTP/1.1", "Host: shop.example.com"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"Content-Length: {len(body)}"] if body else []
    if not any(name.lower() == "connection" for name, _ in headers):
        lines.append("Connection: close")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(head + body)
        received = _read(client)
    top, _, content = received.partition(b"\r\n\r\n")
    status = int(top.split()[1]) if top.startswith(b"HTTP/1.") else 0
    is_json = b"content-type: application/json" in top.lower()
    return Response(status, json.loads(content) if is_json else {})


def _read(client: socket.socket) -> bytes:
    received = b""
    while True:
        try:
            piece = client.recv(65536)
        except ConnectionResetError:
            return received
        received += piece
        head, separator, content = received.partition(b"\r\n\r\n")
        sizes = [
            int(x.split(b":")[1])
            for x in head.lower().split(b"\r\n")
            if x.startswith(b"content-length:")
        ]
        if not piece or (separator and sizes and len(content) >= sizes[0]):
            return received
