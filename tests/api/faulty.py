"""A proxy between the operator and the real API server that injects faults."""

import asyncio
import contextlib
import itertools
import json
import logging
import random
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector, web
from kubernetes import client, config

_SILENT = logging.Logger("faulty", logging.CRITICAL + 1)
# Longer than any client waits.
_SILENT_SECONDS = 60.0
_SESSION = web.AppKey("session", ClientSession)
_GONE = {
    "type": "ERROR",
    "object": {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "Expired",
        "message": "too old resource version",
        "code": 410,
    },
}


class Write(NamedTuple):
    """A request that changes something."""

    method: str
    path: str
    body: bytes


# Whether a write during which the operator is killed is still executed; None if it is not killed.
Fate = Callable[[Write], bool | None]


def at_write(number: int, *, done: bool) -> Fate:
    """The operator dies at its n-th write."""
    writes = itertools.count(1)
    return lambda _write: done if next(writes) == number else None


FAULTS = ("429", "500", "409", "delay", "cut before", "cut after")


class FaultyProxy:
    """Serves plain HTTP on loopback; a share of the requests fails, including watches.

    It executes writes for which ``lose_response`` is true, and cuts their connections.

    While it is ``silent`` it responds to no new request; watches continue.

    It can also simulate that the process is killed at one write: from then on no request reaches
    the API server, until it is ``revived``.
    """

    def __init__(
        self,
        kubeconfig: Path,
        *,
        share: float = 0.0,
        seed: int = 1,
        fate: Fate = lambda _write: None,
    ) -> None:
        """Creates the proxy.

        Args:
            kubeconfig: Leads to the real API server.
            share: Of the requests that meet a fault.
            seed: Of the choice among them.
            fate: Decides for each write whether the operator is killed.
        """
        self._target = client.Configuration()
        config.load_kube_config(config_file=str(kubeconfig), client_configuration=self._target)
        self._share = share
        self._random = random.Random(seed)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._fate = fate
        self._pumps: set[asyncio.Task[None]] = set()
        self._blind: str | None = None
        self._dying = False
        self.dead = threading.Event()
        self.refused: frozenset[str] = frozenset()
        self.silent = False
        self.lose_response: Callable[[Write], bool] = lambda _write: False
        self.unanswered: set[str] = set()
        self.port = 0
        self.met: Counter[str] = Counter()

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig that leads through the proxy."""
        path = folder / "faulty-kubeconfig"
        cluster = {"server": f"http://127.0.0.1:{self.port}"}
        body = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "x", "cluster": cluster}],
            "users": [{"name": "x", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "current-context": "x",
        }
        path.write_text(yaml.safe_dump(body))
        return path

    def __enter__(self) -> "FaultyProxy":
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        context = ssl.create_default_context(cafile=self._target.ssl_ca_cert)
        context.load_cert_chain(self._target.cert_file, self._target.key_file)
        connector = TCPConnector(ssl=context, limit=0)
        async with ClientSession(connector=connector, timeout=ClientTimeout()) as session:
            app = web.Application(client_max_size=2**24)
            app[_SESSION] = session
            app.router.add_route("*", "/{tail:.*}", self._handle)
            # A cut connection is a fault of the server in aiohttp's eyes.
            runner = web.AppRunner(app, shutdown_timeout=0.5, logger=_SILENT)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = runner.addresses[0][1]
            self._started.set()
            await self._stop.wait()
            await runner.cleanup()

    def blind(self, plural: str = "") -> None:
        """From now on, running watches, or those of a kind, send no events, but stay open."""
        self._blind = plural

    def revive(self) -> None:
        """Lets the next operator through."""
        self.dead.clear()
        self._dying = False

    def expire(self) -> None:
        """Ends the running watches as the API server does if their history is gone."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(lambda: [pump.cancel() for pump in self._pumps])

    async def _handle(self, request: web.Request) -> web.StreamResponse:  # noqa: PLR0911 (faults)
        if self._dying:
            return _cut(request)
        if self.silent:
            self.unanswered.add(request.path)
            await asyncio.sleep(_SILENT_SECONDS)
        if request.path in self.refused:
            return _refusal(500)
        if request.method != "GET":
            write = Write(request.method, request.path, await request.read())
            if self.lose_response(write):
                return await self._execute_without_response(request)
            done = self._fate(write)
            if done is not None:
                return await self._die(request, done=done)
        fault = self._random.choice(FAULTS) if self._random.random() < self._share else ""
        watch = request.query.get("watch") == "true"
        if request.method == "GET" and fault == "409":
            fault = "429"  # no API server responds to a read with a conflict
        if fault:
            self.met[fault] += 1
        if fault == "cut before":
            return _cut(request)
        if fault == "delay":
            await asyncio.sleep(1.0)
        if fault in ("429", "500", "409"):
            return _refusal(int(fault))
        if fault == "cut after" and not watch:
            return await self._execute_without_response(request)
        return await self._forward(request, cut_after=0.5 if watch and fault else None)

    async def _execute_without_response(self, request: web.Request) -> web.StreamResponse:
        """The hardest case for an object that is created once."""
        async with await self._send(request) as answer:
            await answer.read()
        return _cut(request)

    async def _send(self, request: web.Request) -> Any:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("host", "content-length", "authorization")
        }
        url = f"{self._target.host}{request.rel_url}"
        # An empty body would get a content type, which the API server refuses on a read.
        data = await request.read() or None
        session = request.app[_SESSION]
        return session.request(request.method, url, headers=headers, data=data)

    async def _forward(
        self, request: web.Request, *, cut_after: float | None
    ) -> web.StreamResponse:
        async with await self._send(request) as answer:
            response = web.StreamResponse(status=answer.status)
            response.content_type = answer.content_type
            await response.prepare(request)
            pump = asyncio.create_task(self._pump(request.path, answer, response))
            watch = request.query.get("watch") == "true"
            if watch:
                self._pumps.add(pump)
            try:
                async with asyncio.timeout(cut_after):
                    await pump
            except TimeoutError:
                return _cut(request)
            except asyncio.CancelledError:
                if not pump.cancelled() or not watch:
                    raise
                self._blind = None
                with contextlib.suppress(ConnectionResetError):  # The client may be gone.
                    await response.write(json.dumps(_GONE).encode() + b"\n")
            finally:
                self._pumps.discard(pump)
            with contextlib.suppress(ConnectionResetError):
                await response.write_eof()
            return response

    async def _pump(self, path: str, answer: ClientResponse, response: web.StreamResponse) -> None:
        watch = asyncio.current_task() in self._pumps
        async for chunk in answer.content.iter_any():
            hidden = watch and self._blind is not None and path.endswith(self._blind)
            if not hidden:
                await response.write(chunk)

    async def _die(self, request: web.Request, *, done: bool) -> web.StreamResponse:
        self._dying = True
        try:
            if done:
                # A killed client reads no response, and its end of the connection can be gone.
                await self._forward(request, cut_after=None)
        finally:
            self.dead.set()
        return _cut(request)


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError("cut on purpose")


def _refusal(status: int) -> web.Response:
    reasons = {429: "TooManyRequests", 500: "InternalError", 409: "Conflict"}
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reasons[status],
        "message": "a fault of the test's proxy",
        "code": status,
    }
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/json", headers=headers
    )
