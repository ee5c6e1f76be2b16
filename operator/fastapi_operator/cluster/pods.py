"""The pods of a service: states, logs, and pages of their private ports."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
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
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


@dataclass(frozen=True)
class LivePod:
    """A pod of a service.

    Attributes:
        name: Its name.
        part: Its part.
        running: Whether its containers run.
        ready: Whether it is ready for requests.
        has_started: Whether its main container has started, so that it has a log.
        containers: Its containers, each with its command.
        main_container: The name of that of the part, also beside the sidecar of a mesh.
        named_ports: The ports of its containers by name.
        ports: Its ports with metrics.
        diagnostics_port: The port on its loopback address with profiles; None if it has none.
        restarts: Restarts of its containers.
        memory_killed: Whether a container was last ended because it exceeded its memory limit.
        started: When its main container started, RFC 3339; empty if it does not run.
    """

    name: str
    part: Part
    running: bool
    ready: bool
    has_started: bool
    containers: Mapping[str, tuple[str, ...]]
    main_container: str
    named_ports: Mapping[str, int]
    ports: tuple[int, ...]
    diagnostics_port: int | None
    restarts: int
    memory_killed: bool
    started: str = ""


@dataclass(frozen=True)
class Container:
    """A container of a pod.

    Attributes:
        pod: The name of the pod.
        part: The part of the pod.
        container: The name of the container.
        previous: Whether its log is that of the process before a restart.
    """

    pod: str
    part: Part
    container: str
    previous: bool = False


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


async def failed_containers(client: Client, namespace: str, service: str) -> list[Container]:
    """Returns the containers of a service's pods that failed or are restarted, newest pods first.

    Raises:
        ApiError: The API server refused.
    """
    bodies = [body async for body in _bodies(client, namespace, service)]
    bodies.sort(key=lambda body: str(body["metadata"].get("creationTimestamp")), reverse=True)
    return [found for body in bodies for found in _failed_containers(body)]


async def end_of_log(client: Client, namespace: str, container: Container, *, lines: int) -> str:
    """Reads the last lines of a container's log.

    Raises:
        ApiError: The API server refused.
    """
    return await read_log(client, namespace, container, tailLines=lines)


async def read_log(client: Client, namespace: str, container: Container, **query: int) -> str:
    """Reads the log of a container.

    Args:
        client: Sends the requests.
        namespace: The namespace.
        container: The container.
        **query: Parameters of the API, for example tailLines.

    Raises:
        ApiError: The API server refused.
    """
    return await client.text(_log_path(namespace, container, **query))


def follow_log(
    client: Client, namespace: str, container: Container, **query: int
) -> AsyncIterator[str]:
    """Yields the lines of a container's log until the container ends.

    Args:
        client: Sends the requests.
        namespace: The namespace.
        container: The container.
        **query: Parameters of the API, for example tailLines.

    Raises:
        ApiError: The API server refused, or the connection was lost.
    """
    return client.lines(f"{_log_path(namespace, container, **query)}&follow=true")


def _log_path(namespace: str, container: Container, **query: int) -> str:
    previous = {"previous": "true"} if container.previous else {}
    values = urlencode({"container": container.container, **previous, **query})
    return f"{POD.path(namespace, container.pod, 'log')}?{values}"


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
    part = _part(body)
    if part is None:
        return None
    spec, status = body["spec"], body.get("status") or {}
    states = status.get("containerStatuses") or ()
    running = status.get("phase") == "Running" and "deletionTimestamp" not in body["metadata"]
    ports = [
        port
        for container in (*(spec.get("initContainers") or ()), *spec["containers"])
        for port in container.get("ports") or ()
    ]
    return LivePod(
        name=body["metadata"]["name"],
        part=part,
        running=running,
        ready=running and _is_ready(status),
        has_started=any(
            moment in (state.get("state") or {})
            for state in states
            for moment in ("running", "terminated")
        ),
        containers={
            container["name"]: tuple(container.get("command") or ())
            for container in spec["containers"]
        },
        main_container=_main_container(body, part),
        named_ports={port["name"]: port["containerPort"] for port in ports if port.get("name")},
        ports=tuple(port["containerPort"] for port in ports if port.get("name") == METRICS),
        diagnostics_port=_diagnostics_port(spec["containers"]),
        restarts=sum(state.get("restartCount", 0) for state in states),
        memory_killed=any(_killed(state) for state in states),
        started=_started(states, _main_container(body, part)),
    )


def _main_container(body: Mapping[str, Any], part: Part) -> str:
    names = [str(container["name"]) for container in body["spec"]["containers"]]
    # Istio sets the annotation when it puts its own container first.
    annotated = str((body["metadata"].get("annotations") or {}).get(_DEFAULT_CONTAINER))
    return next((name for name in (part.record.container, annotated) if name in names), names[0])


def _started(states: Iterable[Mapping[str, Any]], container: str) -> str:
    for state in states:
        if state.get("name") == container:
            running = (state.get("state") or {}).get("running") or {}
            return str(running.get("startedAt") or "")
    return ""


def _is_ready(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions") or ()
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _failed_containers(body: Mapping[str, Any]) -> Iterator[Container]:
    part = _part(body)
    if part is None or "deletionTimestamp" in body["metadata"]:
        return
    status = body.get("status") or {}
    for key in ("initContainerStatuses", "containerStatuses"):
        for state in status.get(key) or ():
            now = (state.get("state") or {}).get("terminated")
            before = (state.get("lastState") or {}).get("terminated")
            failed = now if now is not None else None if state.get("ready") else before
            if failed and failed.get("exitCode"):
                yield Container(
                    body["metadata"]["name"], part, state["name"], previous=failed is not now
                )


def _part(body: Mapping[str, Any]) -> Part | None:
    try:
        return Part(body["metadata"]["labels"].get(naming.COMPONENT_LABEL, ""))
    except ValueError:  # a part of a newer version
        return None


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
