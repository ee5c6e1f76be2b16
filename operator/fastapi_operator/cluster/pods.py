"""The pods of a service: states, logs, and pages of their private ports."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi_operator import naming
from fastapi_operator.cluster import port_forward
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.kinds import POD
from fastapi_operator.cluster.transport import REQUEST_TIMEOUT_SECONDS
from fastapi_operator.parts import DIAGNOSTICS_VARIABLE, METRICS, Part
from fastapi_operator.quantity import millicores

# A few hundred thousand lines of a busy proxy are enough.
_LOG_BYTES = 16 * 2**20


@dataclass(frozen=True)
class LivePod:
    """A pod of a service.

    Attributes:
        name: Its name.
        part: Its part.
        running: Whether its containers run.
        ports: Its ports with metrics.
        diagnostics_port: The port on its loopback address with profiles; None if it has none.
        restarts: Restarts of its containers.
        memory_killed: Whether a container was last ended because it exceeded its memory limit.
    """

    name: str
    part: Part
    running: bool
    ports: tuple[int, ...]
    diagnostics_port: int | None
    restarts: int
    memory_killed: bool


async def pods_of(client: Client, namespace: str, service: str) -> tuple[LivePod, ...]:
    """Returns the pods of all parts of a service, by name.

    Raises:
        ApiError: The API server refused.
    """
    found = [_pod(body) async for body in _bodies(client, namespace, service)]
    return tuple(sorted((pod for pod in found if pod is not None), key=lambda pod: pod.name))


async def page(
    client: Client,
    namespace: str,
    pod: str,
    port: int,
    address: str,
    *,
    seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> str:
    """Reads a page of a pod's port, for example ``/metrics``.

    Raises:
        ApiError: The API server refused, or the pod did.
    """
    return await port_forward.get(client, namespace, pod, port, address, seconds=seconds)


async def log(client: Client, namespace: str, pod: str, *, seconds: int) -> str:
    """Reads the log of a pod's container for the last seconds, up to a size limit.

    Raises:
        ApiError: The API server refused.
    """
    query = urlencode({"sinceSeconds": seconds, "limitBytes": _LOG_BYTES})
    return await client.text(f"{POD.path(namespace, pod, 'log')}?{query}")


async def cpu_millicores(client: Client, namespace: str, service: str) -> Mapping[str, int]:
    """Returns the CPU that the app's container in each pod uses, as metrics-server measured it.

    Raises:
        ApiError: The cluster has no metrics API, or refused.
    """
    query = urlencode({"labelSelector": f"{naming.SERVICE_LABEL}={service}"})
    answer = await client.read(f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods?{query}")
    return {
        item["metadata"]["name"]: millicores(container["usage"]["cpu"])
        for item in answer.get("items") or ()
        for container in item.get("containers") or ()
        if container["name"] == Part.APP.record.container
    }


async def _bodies(client: Client, namespace: str, service: str) -> AsyncIterator[dict[str, Any]]:
    selector = f"{naming.SERVICE_LABEL}={service}"
    async for items, _ in client.pages(POD, namespace, label_selector=selector):
        for body in items:
            yield body


def _pod(body: Mapping[str, Any]) -> LivePod | None:
    try:
        part = Part(body["metadata"]["labels"].get(naming.COMPONENT_LABEL, ""))
    except ValueError:  # a part of a newer version
        return None
    spec, status = body["spec"], body.get("status") or {}
    states = status.get("containerStatuses") or ()
    return LivePod(
        name=body["metadata"]["name"],
        part=part,
        running=status.get("phase") == "Running" and "deletionTimestamp" not in body["metadata"],
        ports=tuple(
            port["containerPort"]
            for container in (*(spec.get("initContainers") or ()), *spec["containers"])
            for port in container.get("ports") or ()
            if port.get("name") == METRICS
        ),
        diagnostics_port=_diagnostics_port(spec["containers"]),
        restarts=sum(state.get("restartCount", 0) for state in states),
        memory_killed=any(_killed(state) for state in states),
    )


def _diagnostics_port(containers: Iterable[Mapping[str, Any]]) -> int | None:
    """Returns the value of the variable: the container does not declare a loopback port."""
    for container in containers:
        for variable in container.get("env") or ():
            value = str(variable.get("value", ""))
            if variable.get("name") == DIAGNOSTICS_VARIABLE and value.isdigit():
                return int(value)
    return None


def _killed(state: Mapping[str, Any]) -> bool:
    ends = (state.get(moment, {}).get("terminated") for moment in ("state", "lastState"))
    return any(end and end.get("reason") == "OOMKilled" for end in ends)
