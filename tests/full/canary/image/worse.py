"""A middleware that makes a version worse by its environment, and names its pod in each response.

| variable | effect |
| --- | --- |
| WORSE_ERRORS | the share of requests that get 500 |
| WORSE_SLOW_SHARE, WORSE_SLOW_SECONDS | the share of requests that wait, and for how long |
| WORSE_CPU_SECONDS | CPU time that each request uses in addition, after its response |
| WORSE_LEAK_BYTES | memory that each request takes and never returns |
"""

import asyncio
import hashlib
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_ERRORS = float(os.environ.get("WORSE_ERRORS", "0"))
_SLOW_SHARE = float(os.environ.get("WORSE_SLOW_SHARE", "0"))
_SLOW_SECONDS = float(os.environ.get("WORSE_SLOW_SECONDS", "0"))
_CPU_SECONDS = float(os.environ.get("WORSE_CPU_SECONDS", "0"))
_LEAK_BYTES = int(os.environ.get("WORSE_LEAK_BYTES", "0"))
_POD = os.environ["HOSTNAME"].encode()
_BODY = b'{"detail": "a requested error"}'
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"x-served-by", _POD),
]
_LEAKED: list[bytes] = []
_BESIDE = ThreadPoolExecutor(1)


class Worse:
    """Changes requests for items only, so that probes and metrics are as they were."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves one request."""
        if scope["type"] != "http" or not scope["path"].startswith("/items"):
            await self._inner(scope, receive, send)
            return

        async def named(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-served-by", _POD)]}
            await send(message)

        if random.random() < _SLOW_SHARE:
            await asyncio.sleep(_SLOW_SECONDS)
        if random.random() < _ERRORS:
            await send({"type": "http.response.start", "status": 500, "headers": _HEADERS})
            await send({"type": "http.response.body", "body": _BODY})
        else:
            await self._inner(scope, receive, named)
        if _LEAK_BYTES:
            _LEAKED.append(b"x" * _LEAK_BYTES)
        if _CPU_SECONDS:
            _BESIDE.submit(_use_cpu)


def _use_cpu() -> None:
    """Uses CPU time without the interpreter's lock, so that no request waits for it."""
    end = time.thread_time() + _CPU_SECONDS
    while time.thread_time() < end:
        hashlib.pbkdf2_hmac("sha256", b"worse", b"version", 200)
