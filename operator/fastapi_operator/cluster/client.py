"""All requests of the operator itself: writes, lists and single reads, as plain dictionaries.

They go through one ``kubernetes.aio`` ApiClient, below its generated models: a pass works on
dictionaries, and the models would cost more time and memory than the request itself
(research: 710 against 1,215 microseconds a write).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import orjson
import structlog
from kubernetes.aio import client

from fastapi_operator import __version__, naming
from fastapi_operator.cluster import connection
from fastapi_operator.cluster.errors import ApiError, from_response
from fastapi_operator.cluster.kinds import Kind

REQUEST_TIMEOUT_SECONDS = 30
PAGE_SIZE = 500
# A request that was turned away with 429 was not executed, so that any verb may be sent again.
THROTTLED_ATTEMPTS = 5
THROTTLED_WAIT_CEILING_SECONDS = 30.0

# No real object has this version: etcd counts from 1 and uses it up before any API object.
NEVER_A_VERSION = "1"

# With a parameter, which the API server drops, so that ``kubernetes.aio`` takes the body as bytes:
# by orjson they are made in a tenth of the time.
_APPLY_PATCH = "application/apply-patch+yaml; charset=utf-8"
# An apply refuses unknown fields by its schema. Strict validation would refuse them once more, and
# read the body a second time for it: a fifteenth of the API server's CPU time.
_APPLY = {"force": "true", "fieldValidation": "Ignore"}

Body = Mapping[str, Any]
Observer = Callable[[str, str, int, float], None]

_log = structlog.get_logger(__name__)


class Client:
    """Talks to the API server with one field manager and strict field validation."""

    def __init__(
        self,
        configuration: "client.Configuration",
        *,
        manager: str = naming.FIELD_MANAGER,
        dry_run: bool = False,
        observe: Observer = lambda _verb, _kind, _status, _seconds: None,
    ) -> None:
        """Prepares a client; connections are opened by the first request.

        Args:
            configuration: Where the API server is and who we are.
            manager: The field manager of all writes.
            dry_run: Writes are only logged; their answer is the body that would be sent.
            observe: Told of each request: verb, kind, status (0: no answer), seconds.
        """
        self._api = client.ApiClient(configuration)
        self._api.user_agent = f"fastapi-operator/{__version__}"
        self._slots = asyncio.Semaphore(connection.CONNECTIONS)
        self._observe = observe
        self._manager = manager
        self.dry_run = dry_run

    async def close(self) -> None:
        """Closes all connections."""
        await self._api.close()

    # Writes -----------------------------------------------------------------------------------

    async def apply(
        self, kind: Kind, body: Body, *, only_create: bool = False, rehearse: bool = False
    ) -> dict[str, Any]:
        """Server-side apply of an object that is ours.

        Args:
            kind: The kind of the object.
            body: The fields that we want.
            only_create: Fails with 409 where the object exists, so that nothing that is not
                ours is ever merged into.
            rehearse: The API server answers what it would store, and stores nothing.

        Raises:
            ApiError: The API server refused.
        """
        metadata = body["metadata"]
        if only_create:
            body = {**body, "metadata": {**metadata, "resourceVersion": NEVER_A_VERSION}}
        return await self._write(
            "PATCH",
            "apply",
            kind,
            kind.path(metadata["namespace"], metadata["name"]),
            body,
            content_type=_APPLY_PATCH,
            query={**_APPLY, **({"dryRun": "All"} if rehearse else {})},
        )

    async def create(self, kind: Kind, body: Body) -> dict[str, Any]:
        """POST of an object that is written once.

        Raises:
            ApiError: The API server refused; 409 where the object exists.
        """
        return await self._write(
            "POST", "create", kind, kind.path(body["metadata"]["namespace"]), body
        )

    async def merge(
        self, kind: Kind, namespace: str, name: str, patch: Body, *, subresource: str = ""
    ) -> dict[str, Any]:
        """JSON merge patch, for the metadata of objects that are written once.

        Raises:
            ApiError: The API server refused.
        """
        return await self._write(
            "PATCH",
            "merge",
            kind,
            kind.path(namespace, name, subresource),
            patch,
            content_type="application/merge-patch+json",
        )

    async def apply_status(self, kind: Kind, body: Body) -> dict[str, Any]:
        """Server-side apply of the ``status`` subresource.

        Raises:
            ApiError: The API server refused.
        """
        metadata = body["metadata"]
        return await self._write(
            "PATCH",
            "status",
            kind,
            kind.path(metadata["namespace"], metadata["name"], "status"),
            body,
            content_type=_APPLY_PATCH,
            query=_APPLY,
        )

    async def put(self, kind: Kind, body: Body) -> dict[str, Any]:
        """PUT of a whole object, guarded by its resourceVersion.

        Raises:
            ApiError: The API server refused; 409 where somebody was faster.
        """
        metadata = body["metadata"]
        return await self._write(
            "PUT", "update", kind, kind.path(metadata["namespace"], metadata["name"]), body
        )

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """Deletes exactly the object with that uid, its dependents in the background.

        Raises:
            ApiError: The API server refused; 409 where the name now belongs to another object.
        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        if self.dry_run:
            _log.info("would delete", kind=kind.kind, namespace=namespace, name=name)
            return
        await self._request("DELETE", "delete", kind, kind.path(namespace, name), options)

    # Reads ------------------------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """One object, or None where there is none.

        Raises:
            ApiError: The API server refused.
        """
        try:
            return await self._request("GET", "get", kind, kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def pages(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        label_selector: str = "",
        limit: int = PAGE_SIZE,
    ) -> AsyncIterator[tuple[list[dict[str, Any]], int]]:
        """The objects of a kind page by page, each with the list's resourceVersion.

        Raises:
            ApiError: The API server refused; 410 where the list outlived etcd's history.
        """
        query = {"limit": str(limit)}
        if label_selector:
            query["labelSelector"] = label_selector
        while True:
            answer = await self._request("GET", "list", kind, kind.path(namespace), query=query)
            metadata = answer.get("metadata", {})
            yield answer.get("items") or [], int(metadata.get("resourceVersion") or 0)
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def read(self, path: str, *, accept: str = "application/json") -> dict[str, Any]:
        """A document that is no object of a kind: discovery, the version.

        Raises:
            ApiError: The API server refused.
        """
        content = await self._send("GET", "read", path, path, accept=accept)
        answer: dict[str, Any] = orjson.loads(content)
        return answer

    async def text(self, path: str, *, seconds: float = REQUEST_TIMEOUT_SECONDS) -> str:
        """What is no document of the API server's own: a pod's log, a page behind its proxy.

        Args:
            path: Below the API server's address, with its query.
            seconds: How long the answer may take.

        Raises:
            ApiError: The API server refused, or what is behind it did.
        """
        # One subject for all, or each pod's path would be a metric of its own.
        content = await self._send("GET", "read", "text", path, accept="*/*", seconds=seconds)
        return content.decode(errors="replace")

    # The one way out --------------------------------------------------------------------------

    async def _write(
        self,
        method: str,
        verb: str,
        kind: Kind,
        path: str,
        body: Body,
        *,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        if self.dry_run:
            _log.info("would write", verb=verb, kind=kind.kind, path=path)
            return dict(body)
        query = {
            "fieldValidation": "Strict",
            **(query or {}),
            "fieldManager": self._manager,
        }
        return await self._request(
            method, verb, kind, path, body, content_type=content_type, query=query
        )

    async def _request(
        self,
        method: str,
        verb: str,
        kind: Kind,
        path: str,
        body: Body | None = None,
        *,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        if query:
            path = f"{path}?{urlencode(query, quote_via=quote)}"
        sent = orjson.dumps(body) if content_type == _APPLY_PATCH else body
        content = await self._send(method, verb, kind.plural, path, sent, content_type=content_type)
        answer: dict[str, Any] = orjson.loads(content)
        return answer

    async def _send(
        self,
        method: str,
        verb: str,
        subject: str,
        path: str,
        body: Body | bytes | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> bytes:
        """Sends a request, again where the API server asks us to slow down."""
        for attempt in range(1, THROTTLED_ATTEMPTS + 1):
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
                if error.status != 429 or attempt == THROTTLED_ATTEMPTS:
                    raise
                asked = error.retry_after_seconds or float(attempt)
            # Spread, so that all that were turned away do not come back at once.
            wait = min(asked, THROTTLED_WAIT_CEILING_SECONDS) * random.uniform(1.0, 1.5)  # noqa: S311
            await asyncio.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(
        self,
        method: str,
        verb: str,
        subject: str,
        path: str,
        body: Body | bytes | None,
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
                # Authentication per request: the token of a pod is rotated while we run.
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
