"""Sends HTTP requests to the API server, with authentication, a timeout and retries after 429."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp
from kubernetes.aio import client

from fastapi_operator import __version__
from fastapi_operator.cluster import connection
from fastapi_operator.cluster.errors import ApiError, from_response

REQUEST_TIMEOUT_SECONDS = 30
# The API server did not execute a request that it refused with 429, so any verb can be retried.
THROTTLED_ATTEMPTS = 5
THROTTLED_WAIT_CEILING_SECONDS = 30.0

Observer = Callable[[str, str, int, float], None]


class Transport:
    """A pool of connections to the API server."""

    def __init__(self, configuration: "client.Configuration", *, observe: Observer) -> None:
        self._api = client.ApiClient(configuration)
        self._api.user_agent = f"fastapi-operator/{__version__}"
        self._slots = asyncio.Semaphore(connection.CONNECTIONS)
        self._observe = observe

    async def close(self) -> None:
        """Closes all connections."""
        await self._api.close()

    async def send(
        self,
        method: str,
        verb: str,
        subject: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        seconds: float = REQUEST_TIMEOUT_SECONDS,
        attempts: int = THROTTLED_ATTEMPTS,
    ) -> bytes:
        """Sends a request, and retries it if the API server returns 429."""
        for attempt in range(1, attempts + 1):
            try:
                return await self._attempt(
                    method,
                    verb,
                    subject,
                    path,
                    body,
                    content_type=content_type,
                    accept=accept,
                    seconds=seconds,
                )
            except ApiError as error:
                if error.status != 429 or attempt == attempts:
                    raise
                asked = error.retry_after_seconds or float(attempt)
            # The jitter spreads the retries of requests that were refused together.
            wait = min(asked, THROTTLED_WAIT_CEILING_SECONDS) * random.uniform(1.0, 1.5)  # noqa: S311
            await asyncio.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def lines(self, subject: str, path: str) -> AsyncIterator[str]:
        """Yields the lines of a text that does not end, for example of a log that is followed.

        It takes no slot of the other requests, since it lasts.

        Raises:
            ApiError: The API server or the kubelet refused, or the connection was lost.
        """
        headers = {"Accept": "*/*", "User-Agent": self._api.user_agent}
        loop = asyncio.get_running_loop()
        status, started = 0, loop.time()
        try:
            await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
            async with self._session().get(
                self._api.configuration.host + path,
                headers=headers,
                proxy=self._api.rest_client.proxy,
                timeout=aiohttp.ClientTimeout(sock_connect=REQUEST_TIMEOUT_SECONDS),
            ) as response:
                status = response.status
                if status != 200:
                    raise from_response(status, await response.read(), response.headers)
                rest = b""
                # A line may be longer than what the response reads at once.
                async for piece in response.content.iter_any():
                    *whole, rest = (rest + piece).split(b"\n")
                    for line in whole:
                        yield line.decode(errors="replace")
                if rest:
                    yield rest.decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, "NoAnswer", f"{type(error).__name__}: {error}") from error
        finally:
            self._observe("follow", subject, status, loop.time() - started)

    def _session(self) -> aiohttp.ClientSession:
        rest = self._api.rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()
        session: aiohttp.ClientSession = rest.pool_manager
        return session

    @contextlib.asynccontextmanager
    async def websocket(
        self, subject: str, path: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Opens a stream with channels to a pod.

        Raises:
            ApiError: The API server or the kubelet refused.
        """
        headers = {"User-Agent": self._api.user_agent}
        loop = asyncio.get_running_loop()
        status, started = 0, loop.time()
        async with self._slots:
            try:
                await self._api.update_params_for_auth(
                    headers, [], ["BearerToken"], path, "GET", None
                )
                socket = await self._session().ws_connect(
                    self._api.configuration.host + path,
                    headers=headers,
                    protocols=("v4.channel.k8s.io",),
                    proxy=self._api.rest_client.proxy,
                    max_msg_size=0,
                )
                status = 101
            except aiohttp.WSServerHandshakeError as error:
                status = error.status
                # The client library drops the body of the refusal.
                raise ApiError(status, "Refused", f"{error.message} (GET {path})") from error
            except (aiohttp.ClientError, OSError) as error:
                raise ApiError(0, "NoAnswer", f"{type(error).__name__}: {error}") from error
            finally:
                self._observe("connect", subject, status, loop.time() - started)
            async with socket:
                yield socket

    async def _attempt(
        self,
        method: str,
        verb: str,
        subject: str,
        path: str,
        body: Mapping[str, Any] | bytes | None,
        *,
        content_type: str,
        accept: str,
        seconds: float,
    ) -> bytes:
        headers = {
            "Accept": accept,
            "Content-Type": content_type,
            "User-Agent": self._api.user_agent,
        }
        loop = asyncio.get_running_loop()
        status = 0
        async with self._slots:
            started = loop.time()
            try:
                # Authentication for each request, because the token of a pod is rotated.
                await self._api.update_params_for_auth(
                    headers, [], ["BearerToken"], path, method, body
                )
                response = await self._api.call_api(
                    method,
                    self._api.configuration.host + path,
                    headers,
                    body,
                    _request_timeout=aiohttp.ClientTimeout(total=seconds),
                )
                content = await response.read()
                status = response.status
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ApiError(0, "NoAnswer", f"{type(error).__name__}: {error}") from error
            finally:
                self._observe(verb, subject, status, loop.time() - started)
        if not 200 <= status < 300:
            raise from_response(status, content, response.headers)
        return bytes(content)
