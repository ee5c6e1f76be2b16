"""``logs``: the logs of all pods of a part, each line with its pod."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Annotated

import typer

from fastapi_operator.cli import console, inputs, reach
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cluster import pods
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.pods import Container, LivePod
from fastapi_operator.parts import Part

_POLL_SECONDS = 2.0
_LINES = 100
# After a lost connection, which is found within this time.
_RECENT = {"sinceSeconds": 5}
# The API server serves each followed log by a connection of its own.
_MOST_FOLLOWED = 50
_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow")


def logs(  # noqa: PLR0917 (typer reads them as options)
    name: NameArgument,
    part: reach.PartOption = Part.APP,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Print new lines, also of new pods.")
    ] = False,
    tail: Annotated[
        int,
        typer.Option(
            "--tail", min=-1, metavar="LINES", help="Last lines of each pod; -1 prints all."
        ),
    ] = _LINES,
    since: Annotated[
        int | None,
        typer.Option("--since", min=1, metavar="SECONDS", help="Only lines of the last seconds."),
    ] = None,
    pod: Annotated[
        str | None, typer.Option("--pod", metavar="NAME", help="Pod. Default: all of the part.")
    ] = None,
    container: Annotated[
        str | None,
        typer.Option("-c", "--container", metavar="NAME", help="Container. Default: the main one."),
    ] = None,
    previous: Annotated[
        bool,
        typer.Option("--previous", help="The containers before their last restart."),
    ] = False,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Print the logs of a service's pods.

    Each line begins with its pod. With --follow, the pods of a rollout and restarted containers are
    followed too, until you press Ctrl+C. Needs the rights to list pods and to get pods/log.

    Examples:
      fastapi-operator logs shop --follow
      fastapi-operator logs shop --part migration --tail -1
      fastapi-operator logs shop --part proxy --since 300

    Exit status:
      0  the logs are printed
      2  there is no such service or pod, or the cluster cannot be used
    """
    query = {
        **({"tailLines": tail} if tail >= 0 else {}),
        **({"sinceSeconds": since} if since else {}),
    }

    async def work(cluster: Cluster) -> None:
        reader = _Reader(cluster, name, part, pod, container, previous=previous)
        found = await reader.find()
        if not found and not follow:
            await cluster.read_service(name)
            watch = cluster.command("status", name)
            inputs.fail(f"{name}: the {part} has no such pod; see its state with: {watch}")
        if follow:
            await cluster.read_service(name)
            await reader.follow(query)
        else:
            await reader.print_all(found, query)

    try:
        run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


class _Reader:
    """Reads the logs of a part's pods."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        part: Part,
        pod: str | None,
        container: str | None,
        *,
        previous: bool,
    ) -> None:
        self._cluster, self._name, self._part = cluster, name, part
        self._pod, self._container = pod, container
        self._previous = previous
        self._colours: dict[str, str] = {}

    async def find(self) -> list[LivePod]:
        """Returns the pods whose logs are read, by name."""
        found = await pods.pods_of(self._cluster.client, self._cluster.namespace, self._name)
        return [
            pod
            for pod in found
            if pod.part is self._part and (self._pod is None or pod.name == self._pod)
        ]

    async def print_all(self, found: Iterable[LivePod], query: Mapping[str, int]) -> None:
        """Prints the logs of pods, one after another."""
        for pod in found:
            container = self._container_of(pod)
            try:
                text = await pods.read_log(
                    self._cluster.client, self._cluster.namespace, container, **query
                )
            except ApiError as error:
                self._note(pod.name, error)
                continue
            for line in text.splitlines():
                self._print(pod.name, line)

    async def follow(self, query: Mapping[str, int]) -> None:
        """Prints the logs of the pods as they are written, without an end."""
        known: dict[tuple[str, int], asyncio.Task[bool]] = {}
        lost: set[tuple[str, int]] = set()
        is_first = True
        while True:
            lost |= {key for key, task in known.items() if task.done() and not task.result()}
            known = {key: task for key, task in known.items() if key not in lost}
            for pod in await self.find():
                key = pod.name, pod.restarts
                if key in known or not pod.has_started:
                    continue
                if sum(not task.done() for task in known.values()) >= _MOST_FOLLOWED:
                    break
                # The whole log of a container that started meanwhile.
                chosen = query if is_first else _RECENT if key in lost else {}
                known[key] = asyncio.create_task(self._follow(pod, chosen))
            lost -= known.keys()
            is_first = False
            await asyncio.sleep(_POLL_SECONDS)

    async def _follow(self, pod: LivePod, query: Mapping[str, int]) -> bool:
        """Prints a log until its container ends; returns False if the connection was lost."""
        container = self._container_of(pod)
        client, namespace = self._cluster.client, self._cluster.namespace
        try:
            async for line in pods.follow_log(client, namespace, container, **query):
                self._print(pod.name, line)
        except ApiError as error:
            self._note(pod.name, error)
            return error.status != 0
        return True

    def _container_of(self, pod: LivePod) -> Container:
        name = self._container or pod.main_container
        return Container(pod.name, pod.part, name, previous=self._previous)

    def _print(self, pod: str, line: str) -> None:
        colour = self._colours.setdefault(pod, _COLOURS[len(self._colours) % len(_COLOURS)])
        console.print_line(f"{typer.style(pod, fg=colour)} {line}")

    def _note(self, pod: str, error: ApiError) -> None:
        text = f"pod {pod}: {error.message}"
        console.print_line(text, console.WARNING, to_stderr=True)
