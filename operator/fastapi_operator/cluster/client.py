"""All requests of the operator itself: writes, lists and single reads, as plain dictionaries.

A reconciliation works on dictionaries. The generated models of ``kubernetes.aio`` are not used,
because they cost more time and memory than the request itself (measured: 710 microseconds for a
write without them, 1,215 with them).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import orjson
import structlog
from kubernetes.aio import client

from fastapi_operator import naming
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import POD, Kind
from fastapi_operator.cluster.transport import REQUEST_TIMEOUT_SECONDS, Observer, Transport

PAGE_SIZE = 500
# No object has this version: etcd starts at 1 and uses it before the first API object.
NEVER_A_VERSION = "1"

# The parameter, which the API server ignores, makes ``kubernetes.aio`` accept the body as bytes:
# orjson encodes it in a tenth of the time.
_APPLY_PATCH = "application/apply-patch+yaml; charset=utf-8"
# An apply refuses unknown fields by its schema. Strict validation would parse the body again to
# refuse them too, which takes a fifteenth of the API server's CPU time.
_APPLY = {"force": "true", "fieldValidation": "Ignore"}

Body = Mapping[str, Any]

_log = structlog.get_logger(__name__)


class Client:
    """Sends requests to the API server with one field manager and strict field validation."""

    def __init__(
        self,
        configuration: "client.Configuration",
        *,
        manager: str = naming.FIELD_MANAGER,
        dry_run: bool = False,
        observe: Observer = lambda _verb, _kind, _status, _seconds: None,
    ) -> None:
        """Creates a client; the first request opens the connections.

        Args:
            configuration: Address of the API server and credentials.
            manager: The field manager of all writes.
            dry_run: Whether writes are only logged; they then return the body to send.
            observe: Called for each request with verb, kind, status (0: no response), seconds.
        """
        self._transport = Transport(configuration, observe=observe)
        self._manager = manager
        self.dry_run = dry_run

    async def close(self) -> None:
        """Closes all connections."""
        await self._transport.close()

    # Writes -----------------------------------------------------------------------------------

    async def apply(
        self,
        kind: Kind,
        body: Body,
        *,
        only_create: bool = False,
        rehearse: bool = False,
        force: bool = True,
    ) -> dict[str, Any]:
        """Applies an object (server-side apply).

        Args:
            kind: The kind of the object.
            body: The desired fields.
            only_create: Whether to fail with 409 if the object exists, so that an object of
                another owner is never changed.
            rehearse: Whether the API server only returns the result and stores nothing.
            force: Whether fields of other managers are taken over; else they are a conflict.

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
            query={
                **_APPLY,
                **({} if force else {"force": "false"}),
                **({"dryRun": "All"} if rehearse else {}),
            },
        )

    async def create(self, kind: Kind, body: Body) -> dict[str, Any]:
        """Creates an object that is written once (POST).

        Raises:
            ApiError: The API server refused; 409 if the object exists.
        """
        return await self._write(
            "POST", "create", kind, kind.path(body["metadata"]["namespace"]), body
        )

    async def merge(
        self, kind: Kind, namespace: str, name: str, patch: Body, *, subresource: str = ""
    ) -> dict[str, Any]:
        """Patches an object that is written once (JSON merge patch).

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

    async def resize(
        self,
        namespace: str,
        pod: str,
        *,
        uid: str,
        container: str,
        resources: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Changes the resources of a running container, without a restart.

        Raises:
            ApiError: The API server refused; 404 if the pod is gone, or if the API server has no
                such subresource.
        """
        patch = {
            "metadata": {"uid": uid},
            "spec": {"containers": [{"name": container, "resources": resources}]},
        }
        await self._write(
            "PATCH",
            "resize",
            POD,
            POD.path(namespace, pod, "resize"),
            patch,
            content_type="application/strategic-merge-patch+json",
        )

    async def evict(self, namespace: str, pod: str, *, uid: str) -> None:
        """Deletes a pod with its grace period, if its PodDisruptionBudgets permit it.

        Raises:
            ApiError: The API server refused; 429 if a budget permits no disruption now, 404 or 409
                if the pod is gone.
        """
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        if self.dry_run:
            _log.info("would evict", namespace=namespace, pod=pod)
            return
        path = POD.path(namespace, pod, "eviction")
        # A budget refuses with 429 for minutes: the caller asks again when the pods have changed.
        await self._transport.send("POST", "evict", POD.plural, path, body, attempts=1)

    async def apply_status(self, kind: Kind, body: Body) -> dict[str, Any]:
        """Applies the ``status`` subresource (server-side apply).

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
        """Replaces a whole object if its resourceVersion is unchanged (PUT).

        Raises:
            ApiError: The API server refused; 409 if another client wrote first.
        """
        metadata = body["metadata"]
        return await self._write(
            "PUT", "update", kind, kind.path(metadata["namespace"], metadata["name"]), body
        )

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        version: int | None = None,
        foreground: bool = False,
    ) -> None:
        """Deletes the object with that uid, and its dependents.

        Args:
            kind: Its kind.
            namespace: Its namespace.
            name: Its name.
            uid: Its uid.
            version: Its resourceVersion; None to delete it whatever it is now.
            foreground: Whether it stays until its dependents are deleted.

        Raises:
            ApiError: The API server refused; 409 if the name now belongs to another object.
        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground" if foreground else "Background",
            "preconditions": {
                "uid": uid,
                **({"resourceVersion": str(version)} if version is not None else {}),
            },
        }
        if self.dry_run:
            _log.info("would delete", kind=kind.kind, namespace=namespace, name=name)
            return
        await self._request("DELETE", "delete", kind, kind.path(namespace, name), options)

    # Reads ------------------------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """Returns one object, or None if it does not exist.

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
        field_selector: str = "",
        limit: int = PAGE_SIZE,
    ) -> AsyncIterator[tuple[list[dict[str, Any]], int]]:
        """Yields the objects of a kind page by page, each with the list's resourceVersion.

        Raises:
            ApiError: The API server refused; 410 if the list took longer than etcd's history.
        """
        query = {"limit": str(limit)}
        if label_selector:
            query["labelSelector"] = label_selector
        if field_selector:
            query["fieldSelector"] = field_selector
        while True:
            answer = await self._request("GET", "list", kind, kind.path(namespace), query=query)
            metadata = answer.get("metadata", {})
            yield answer.get("items") or [], int(metadata.get("resourceVersion") or 0)
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def read(self, path: str, *, accept: str = "application/json") -> dict[str, Any]:
        """Reads a document that is not an object, for example the version.

        Raises:
            ApiError: The API server refused.
        """
        content = await self._transport.send("GET", "read", path, path, accept=accept)
        answer: dict[str, Any] = orjson.loads(content)
        return answer

    async def text(self, path: str, *, seconds: float = REQUEST_TIMEOUT_SECONDS) -> str:
        """Reads a text: the log of a pod.

        Args:
            path: The path with its query.
            seconds: The timeout in seconds.

        Raises:
            ApiError: The API server refused, or the pod did.
        """
        # One subject for all texts: otherwise the path of each pod would be a series of its own.
        content = await self._transport.send(
            "GET", "read", "text", path, accept="*/*", seconds=seconds
        )
        return content.decode(errors="replace")

    def lines(self, path: str) -> AsyncIterator[str]:
        """Yields the lines of a text that does not end, for example of a log that is followed.

        Raises:
            ApiError: The API server or the pod refused, or the connection was lost.
        """
        return self._transport.lines("text", path)

    def websocket(self, path: str) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        """Opens a stream with channels to a pod, for example for ``pods/portforward``.

        Raises:
            ApiError: The API server or the kubelet refused.
        """
        return self._transport.websocket("pods", path)

    # Sending ----------------------------------------------------------------------------------

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
        content = await self._transport.send(
            method, verb, kind.plural, path, sent, content_type=content_type
        )
        answer: dict[str, Any] = orjson.loads(content)
        return answer
