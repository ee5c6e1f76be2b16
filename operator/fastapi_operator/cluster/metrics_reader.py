"""Reads the metrics pages of a service's pods, at a bounded cost.

The operator connects to the pods itself: the ports are open to each pod of the cluster, so that no
right is needed but that to list pods. A page comes from a pod that users control: its time, its
size and its form are limited, redirects are not followed, and nothing is sent but a GET.
"""

import asyncio
import datetime
import ipaddress
import math
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from fastapi_operator import naming
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.kinds import POD
from fastapi_operator.parts import METRICS, Part

PAGE_SECONDS = 2.0
PAGE_BYTES = 2 * 2**20
# Pages that are read at the same time for one service.
PAGES_AT_ONCE = 6
# The most pods of a part in one look, always the same while they exist; and to list, because some
# do not run.
PODS_PER_PART = 12
_PODS_LISTED = 2 * PODS_PER_PART
# No app takes longer to start.
_START_SECONDS_MAX = 3600.0
_CONTENT_TYPES = frozenset({"text/plain", "application/openmetrics-text"})
_PRIVATE = "private"
_CHUNK_BYTES = 64 * 2**10


@dataclass(frozen=True)
class PodPage:
    """A pod, and its metrics page.

    Attributes:
        name: Its name.
        part: The part of the service that it belongs to.
        canary: The identity of the canary, for a pod of a new version; else empty.
        age_seconds: The time since it was started.
        restarts: Restarts of its containers.
        ready: Whether it is ready.
        version: The hash of its template.
        start_seconds: The time from its start until it became ready; None if it is not known.
        text: The requested metrics of its page; None if it has none, or could not be read.
        problem: Why there is no page; empty if there is one.
    """

    name: str
    part: Part
    canary: str
    age_seconds: float
    restarts: int
    ready: bool = False
    version: str = ""
    start_seconds: float | None = None
    text: str | None = None
    problem: str = ""


@dataclass(frozen=True)
class PodTarget:
    """A pod before its page is read.

    Attributes:
        page: The pod, without its page.
        url: The URL of the page; empty if it has none.
    """

    page: PodPage
    url: str


class _PageError(Exception):
    """A page that is not read; the text is the reason."""


async def read_pods(
    client: Client,
    namespace: str,
    service: str,
    parts: Mapping[Part, Collection[str]],
    *,
    clocks: Collection[float],
    pods_per_part: int = PODS_PER_PART,
) -> tuple[PodPage, ...]:
    """Lists the running pods of parts and reads their metrics pages, by part and name.

    The cost does not grow with the service: of each part, the first pods are listed and read.

    Args:
        client: The connection to the API server.
        namespace: Namespace of the service.
        service: Name of the service.
        parts: For each part to read, the prefixes of the metrics to keep of its pages.
        clocks: The time by each clock, from which ages are counted, in seconds since 1970.
        pods_per_part: The most pods of a part to read.

    Raises:
        ApiError: The API server refused the list.
    """
    targets = [
        target
        for part in parts
        for target in (await find_pods(client, namespace, service, part, clocks=clocks))[
            :pods_per_part
        ]
    ]
    read = await _read_all(targets, parts)
    return tuple(sorted(read, key=lambda page: (page.part.value, page.name)))


async def read_urls(urls: Mapping[str, Collection[str]]) -> dict[str, tuple[str | None, str]]:
    """Reads metrics pages at the same time.

    Args:
        urls: For each URL, the prefixes of the metrics to keep.

    Returns:
        For each URL the page, or None with the reason why it could not be read.
    """
    at_once = asyncio.Semaphore(PAGES_AT_ONCE)

    async def one(session: aiohttp.ClientSession, url: str) -> tuple[str | None, str]:
        async with at_once:
            try:
                return _kept(await _read(session, url), urls[url]), ""
            except _PageError as error:
                return None, str(error)

    async with _session() as session:
        pages = await asyncio.gather(*(one(session, url) for url in urls))
    return dict(zip(urls, pages, strict=True))


async def find_pods(
    client: Client,
    namespace: str,
    service: str,
    part: Part,
    *,
    clocks: Collection[float],
    limit: int = _PODS_LISTED,
) -> list[PodTarget]:
    """Lists the first running pods of a part, by name.

    Args:
        client: The connection to the API server.
        namespace: Namespace of the service.
        service: Name of the service.
        part: The part.
        clocks: The time by each clock, from which ages are counted, in seconds since 1970.
        limit: The most pods to list.

    Raises:
        ApiError: The API server refused.
    """
    selector = naming.label_selector(part, service)
    pages = client.pages(POD, namespace, label_selector=selector, limit=limit)
    async for items, _ in pages:
        # Only the first page: the others are of pods that would not be read.
        found = (target_of(body, part, clocks) for body in items)
        return [target for target in found if target is not None]
    return []


async def _read_all(
    targets: Collection[PodTarget], parts: Mapping[Part, Collection[str]]
) -> list[PodPage]:
    reachable = {target.url: parts[target.page.part] for target in targets if target.url}
    pages = await read_urls(reachable)
    read = []
    for target in targets:
        text, problem = pages.get(target.url, (None, target.page.problem))
        read.append(replace(target.page, text=text, problem=problem))
    return read


def _kept(page: str, names: Collection[str]) -> str:
    """Returns the lines of some metrics, so that the others are not kept in memory."""
    prefixes = tuple(names)
    return "".join(line for line in page.splitlines(keepends=True) if line.startswith(prefixes))


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        # No connection outlives a look, no cookie is kept, no proxy of the environment is used.
        connector=aiohttp.TCPConnector(force_close=True, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=PAGE_SECONDS),
    ) as session:
        yield session


async def _read(session: aiohttp.ClientSession, url: str) -> str:
    """Reads a page.

    Raises:
        _PageError: It cannot be read, or has no metrics.
    """
    try:
        async with session.get(url, allow_redirects=False) as response:
            _check(response)
            page = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                page += chunk
                if len(page) > PAGE_BYTES:
                    raise _PageError(f"its metrics page is larger than {PAGE_BYTES} bytes")
    except TimeoutError:
        raise _PageError(f"no metrics page within {PAGE_SECONDS:g} s") from None
    except (aiohttp.ClientConnectorError, OSError) as error:
        raise _PageError(f"no connection to its metrics port: {_reason(error)}") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise _PageError(f"no HTTP response of its metrics port: {type(error).__name__}") from error
    try:
        return page.decode()
    except UnicodeDecodeError:
        raise _PageError("its metrics page is not UTF-8") from None


def _check(response: aiohttp.ClientResponse) -> None:
    if response.status != 200:
        raise _PageError(f"its metrics page has the status {response.status}")
    if response.content_type not in _CONTENT_TYPES:
        raise _PageError(f"its metrics page has the content type {response.content_type:.60}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise _PageError(f"its metrics page has the encoding {encoding:.60}")


def _reason(error: OSError) -> str:
    """Returns the error of the system, without the address of the pod."""
    return os.strerror(error.errno) if error.errno else type(error).__name__


def target_of(body: Mapping[str, Any], part: Part, clocks: Collection[float]) -> PodTarget | None:
    """Returns a running pod and the URL of its metrics; None if it ends."""
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    if status.get("phase") != "Running" or "deletionTimestamp" in metadata:
        return None
    states = status.get("containerStatuses") or ()
    page = PodPage(
        name=metadata["name"],
        part=part,
        canary=labels.get(naming.CANARY_LABEL, ""),
        age_seconds=_age(status.get("startTime"), clocks),
        restarts=sum(state.get("restartCount", 0) for state in states),
        ready=_ready_at(status) is not None,
        version=labels.get("pod-template-hash", ""),
        start_seconds=_start_seconds(status),
    )
    port = _metrics_port(spec, part)
    if port is None:
        return PodTarget(replace(page, problem="it has no port with metrics"), "")
    # The address of such a pod is that of its node, which has other ports.
    if spec.get("hostNetwork"):
        return PodTarget(replace(page, problem="it is in the network of its node"), "")
    host = _host(status.get("podIP", ""))
    if not host:
        return PodTarget(replace(page, problem="it has no address"), "")
    return PodTarget(page, f"http://{host}:{port}/metrics")


def _ready_at(status: Mapping[str, Any]) -> str | None:
    """Returns when a pod became ready, RFC 3339; None if it is not."""
    conditions = status.get("conditions") or ()
    found = (item for item in conditions if item.get("type") == "Ready")
    return next(
        (item.get("lastTransitionTime", "") for item in found if item.get("status") == "True"), None
    )


def _start_seconds(status: Mapping[str, Any]) -> float | None:
    """Returns how long the containers of a pod took to become ready."""
    ready, states = _ready_at(status), status.get("containerStatuses") or ()
    started = [((item.get("state") or {}).get("running") or {}).get("startedAt") for item in states]
    if not ready or not started or not all(started):
        return None
    begun = datetime.datetime.fromisoformat(max(map(str, started)))
    seconds = (datetime.datetime.fromisoformat(ready) - begun).total_seconds()
    # A pod that was not ready in between became ready again, and not for the first time.
    return seconds if 0 <= seconds <= _START_SECONDS_MAX else None


def _metrics_port(spec: Mapping[str, Any], part: Part) -> int | None:
    found = {
        port.get("name"): int(port["containerPort"])
        for container in (*(spec.get("initContainers") or ()), *spec["containers"])
        for port in container.get("ports") or ()
    }
    # Caddy has its metrics on the private port of the proxy.
    return found.get(METRICS, found.get(_PRIVATE) if part is Part.PROXY else None)


def _host(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return f"[{found}]" if found.version == 6 else str(found)


def _age(started: str | None, clocks: Collection[float]) -> float:
    """Returns the lower age: a clock that is ahead must not make a pod old, nor one behind new."""
    begun = datetime.datetime.fromisoformat(started).timestamp() if started else math.inf
    return min((now - begun for now in clocks if now >= begun), default=0.0)
