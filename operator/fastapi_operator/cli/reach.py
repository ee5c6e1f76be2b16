"""The pods of a service that a person looks into: which one, and a port that leads to it."""

import time
from collections.abc import Callable
from typing import Annotated

import typer

from fastapi_operator.cli import inputs
from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cluster import pods
from fastapi_operator.cluster.tunnel import NoTargetError, Target
from fastapi_operator.parts import Part

PartOption = Annotated[
    Part,
    typer.Option(
        "--part",
        metavar="PART",
        help="Part: app, canary, background, schedules, migration, proxy, cache, queue, database, "
        "backup or pooler.",
    ),
]
# A page of a browser opens several connections at once.
_CHOICE_SECONDS = 3.0


async def find_pod(cluster: Cluster, name: str, part: Part, *, requested: str = "") -> pods.LivePod:
    """Returns a pod of a part, a ready one first; ends the command if none runs.

    Args:
        cluster: The connection.
        name: Name of the service.
        part: The part.
        requested: The name of the pod, if one was given.
    """
    found = await running_pods(cluster, name, part)
    if requested:
        chosen = next((pod for pod in found if pod.name == requested), None)
        if chosen is None:
            known = ", ".join(pod.name for pod in found) or "none"
            inputs.fail(f"--pod {requested}: not a running pod of the {part}; those: {known}")
        return chosen
    if not found:
        await cluster.read_service(name)
        inputs.fail(_no_pod(cluster, name, part))
    return found[0]


def _no_pod(cluster: Cluster, name: str, part: Part) -> str:
    watch = cluster.command("status", name)
    return f"{name}: no pod of the {part} is running; see why with: {watch}"


async def running_pods(cluster: Cluster, name: str, part: Part) -> list[pods.LivePod]:
    """Returns the running pods of a part, ready ones first."""
    found = await pods.pods_of(cluster.client, cluster.namespace, name)
    running = [pod for pod in found if pod.part is part and pod.running]
    return sorted(running, key=lambda pod: not pod.ready)


class Chooser:
    """Chooses a pod of a part for each connection, and keeps the choice for a moment."""

    def __init__(self, cluster: Cluster, name: str, part: Part, port_name: str) -> None:
        self._cluster, self._name, self._part = cluster, name, part
        self._port_name = port_name
        self._chosen: Target | None = None
        self._until = 0.0
        self._clock: Callable[[], float] = time.monotonic

    async def __call__(self) -> Target:
        """Returns the pod for a new connection.

        Raises:
            NoTargetError: No pod of the part is running.
        """
        if self._chosen is None or self._clock() > self._until:
            found = await running_pods(self._cluster, self._name, self._part)
            if not found:
                raise NoTargetError(_no_pod(self._cluster, self._name, self._part))
            pod = found[0]
            port = pod.named_ports.get(self._port_name) or self._part.port
            self._chosen = Target(pod.name, port)
            self._until = self._clock() + _CHOICE_SECONDS
        return self._chosen
