"""The most loaded of an app's pods, for a profile, with the measurement that shows it.

An app without the runtime exposes no metrics. Its pods are compared by the CPU that the cluster
measures, and those of an app with the runtime also without metrics-server, by requests in flight.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fastapi_operator.cli import console
from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cluster import pods
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.observability.metrics import IN_FLIGHT
from fastapi_operator.observability.samples import read_page


class Choice(NamedTuple):
    """A pod, and why it was chosen."""

    pod: pods.LivePod
    reason: str


async def find_busiest(cluster: Cluster, name: str, running: Sequence[pods.LivePod]) -> Choice:
    """Returns the most loaded of the running pods of an app.

    Args:
        cluster: The connection.
        name: Name of the service.
        running: Its running app pods, at least one.
    """
    if len(running) == 1:
        return Choice(running[0], "the only running app pod")
    try:
        cpu = await pods.cpu_millicores(cluster.client, cluster.namespace, name)
    except ApiError as error:
        unknown = f"the metrics API did not respond: {error.message}"
    else:
        unknown = "the metrics API has no measurement of the app pods yet"
        if found := _largest(running, cpu):
            return Choice(found, f"{cpu[found.name]}m CPU, the most of {len(running)} app pods")
    in_flight = await _in_flight(cluster, running)
    if found := _largest(running, in_flight):
        most = f"{in_flight[found.name]:g} requests in flight"
        return Choice(found, f"{most}, the most of {len(running)} app pods")
    console.print_line(
        f"the load of the {len(running)} app pods is not known: {unknown}; no pod exposes the "
        "runtime's metrics; choose one with --pod",
        console.WARNING,
        to_stderr=True,
    )
    return Choice(running[0], "the first app pod by name")


def _largest(running: Sequence[pods.LivePod], measured: Mapping[str, float]) -> pods.LivePod | None:
    known = (pod for pod in running if pod.name in measured)
    return max(known, key=lambda pod: measured[pod.name], default=None)


async def _in_flight(cluster: Cluster, running: Sequence[pods.LivePod]) -> dict[str, float]:
    """Returns the requests in flight of each pod that exposes them."""
    read = await asyncio.gather(*(_read_in_flight(cluster, pod) for pod in running))
    return {pod.name: value for pod, value in zip(running, read, strict=True) if value is not None}


async def _read_in_flight(cluster: Cluster, pod: pods.LivePod) -> float | None:
    for port in pod.ports:
        try:
            text = await pods.page(cluster.client, cluster.namespace, pod.name, port, "/metrics")
            values = read_page(text, 0.0, (IN_FLIGHT,)).values.values()
        except (ApiError, ValueError):
            continue
        if values:
            return sum(values)
    return None
