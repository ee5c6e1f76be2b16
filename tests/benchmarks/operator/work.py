"""The measured operations, on services that exist or are created."""

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any

from fastapi_operator import naming
from tests.benchmarks.operator import audit
from tests.benchmarks.operator.controllers import Controllers
from tests.benchmarks.operator.process import Operator

NAMESPACES = tuple(f"bench-{number}" for number in range(10))
MINIMAL: dict[str, Any] = {"image": "registry.test/shop:1"}
FULL: dict[str, Any] = {**MINIMAL, "redis": {}, "postgres": {"migrations": {}}}
# An edit of a field that the operator owns, by kind.
_EDITS: dict[str, dict[str, Any]] = {
    "deployments": {"spec": {"minReadySeconds": 77}},
    "services": {"spec": {"selector": {naming.SERVICE_LABEL: "edited"}}},
    "horizontalpodautoscalers": {"spec": {"maxReplicas": 99}},
    "poddisruptionbudgets": {"spec": {"maxUnavailable": 7}},
    "networkpolicies": {"spec": {"podSelector": {"matchLabels": {naming.SERVICE_LABEL: "x"}}}},
}


@dataclass(frozen=True)
class Fresh:
    """New services, from the first request of their owners until the last is Ready."""

    services: int
    objects: int
    requests: int
    seconds: float
    operator_cpu_seconds: float
    memory_bytes: int

    @property
    def objects_a_second(self) -> float:
        """Objects made in the time until everything was Ready."""
        return self.objects / self.seconds

    @property
    def extra_requests(self) -> float:
        """Requests a service beyond one for each object."""
        return (self.requests - self.objects) / self.services


@dataclass(frozen=True)
class Quiet:
    """Measures an idle period."""

    seconds: float
    writes: int
    requests: int
    apart_a_minute: float


@dataclass(frozen=True)
class Restart:
    """A new process over services that are in order."""

    synced_seconds: float
    settled_seconds: float
    writes: int
    requests: int
    lists: int


@dataclass(frozen=True)
class Reactions:
    """Measures single changes: seconds and requests for each."""

    seconds: list[float]
    requests: float


async def fresh(
    log: audit.AuditLog, users: Controllers, operator: Operator, names: list[str], spec: Any
) -> Fresh:
    """Creates services all at once and waits until each is Ready."""
    since, before = log.mark(), operator.cpu_seconds()
    began = time.monotonic()
    creations = [
        users.create_services(space, [_service(name, space, spec) for name in mine])
        for space, mine in spread(names).items()
    ]
    await asyncio.gather(*creations)
    ended = await users.until_ready(len(names), seconds=300 + len(names))
    await asyncio.sleep(2)  # For the operator's last writes.
    requests = audit.of_services(log.requests(since))
    return Fresh(
        services=len(names),
        objects=audit.created(requests),
        requests=len(requests),
        seconds=ended - began,
        operator_cpu_seconds=operator.cpu_seconds() - before,
        memory_bytes=operator.memory_bytes(),
    )


async def at_rest(log: audit.AuditLog, seconds: float) -> Quiet:
    """Waits."""
    since = log.mark()
    await asyncio.sleep(seconds)
    requests = log.requests(since)
    counted = audit.of_services(requests) + audit.relists(requests)
    apart = len(requests) - len(counted) + log.watches(since)
    return Quiet(
        seconds=seconds,
        writes=sum(request.writes for request in counted),
        requests=len(counted),
        apart_a_minute=apart * 60 / seconds,
    )


async def restart(log: audit.AuditLog, start: Any, services: int) -> tuple[Operator, Restart]:
    """Starts a new process and waits until it has looked at every service."""
    since = log.mark()
    operator: Operator = start()
    synced = await operator.until_ready()
    settled = await operator.until_passes(services)
    await asyncio.sleep(2)
    requests = log.requests(since)
    counted = audit.of_services(requests)
    return operator, Restart(
        synced_seconds=synced,
        settled_seconds=settled,
        writes=sum(request.writes for request in counted),
        requests=len(counted),
        lists=sum(request.verb == "list" for request in requests),
    )


async def image_changes(
    log: audit.AuditLog, users: Controllers, names: list[str], pause: float
) -> Reactions:
    """Changes one image after another; measures from the response to the first write."""
    since, chosen = log.mark(), names
    for name in chosen:
        space = _space(name)
        await users.patch(
            "fastapiservices", space, name, {"spec": {"image": "registry.test/shop:2"}}
        )
        await asyncio.sleep(pause)
    await asyncio.sleep(3)
    await users.until_ready(len(users.ready), seconds=300)
    await asyncio.sleep(2)
    asked = {
        request.name: request.ended
        for request in log.requests(since, of=_AGENT)
        if request.resource == "fastapiservices"
    }
    done = audit.of_services(log.requests(since))
    seconds = [
        min(item.began for item in done if item.writes and item.name.startswith(name)) - at
        for name, at in asked.items()
    ]
    return Reactions(seconds, len(done) / len(chosen))


async def edits(
    log: audit.AuditLog, users: Controllers, made: list[audit.Request], count: int, pause: float
) -> Reactions:
    """Edits and deletes objects; measures from the response to the editor to the repair."""
    chosen = random.Random(1)
    targets = [item for item in made if item.resource in _EDITS and item.code == 201]
    sample = chosen.sample(targets, min(count, len(targets)))
    since = log.mark()
    for target in sample:
        edit = _EDITS[target.resource]
        await users.patch(target.resource, target.namespace, target.name, edit)
        await asyncio.sleep(pause)
    await asyncio.sleep(5)
    await users.until_ready(len(users.ready), seconds=300)
    asked = {
        (request.resource, request.namespace, request.name): request.ended
        for request in log.requests(since, of=_AGENT)
        if request.resource in _EDITS
    }
    done = [item for item in audit.of_services(log.requests(since)) if item.writes]
    seconds = []
    for key, at in asked.items():
        repairs = [r.ended for r in done if (r.resource, r.namespace, r.name) == key]
        if not repairs:
            raise RuntimeError(f"{key} was not repaired: {sorted(audit.table(done).items())}")
        seconds.append(min(repairs) - at)
    return Reactions(seconds, len(done) / len(sample))


_AGENT = b'"userAgent":"driver'


def _space(name: str) -> str:
    return NAMESPACES[int(name.rpartition("-")[2]) % len(NAMESPACES)]


def spread(names: list[str]) -> dict[str, list[str]]:
    """Returns the services by the namespace that they are in."""
    return {space: [name for name in names if _space(name) == space] for space in NAMESPACES}


def _service(name: str, namespace: str, spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": naming.API_VERSION,
        "kind": naming.KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
