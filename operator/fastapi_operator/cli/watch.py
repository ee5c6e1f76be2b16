"""``status --watch`` and ``--until-ready``: the state and the load of a service as they change."""

import asyncio
import contextlib
import datetime
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

import typer

from fastapi_operator.cli import console, sampling, state
from fastapi_operator.cli.connect import Cluster, run_with_cluster
from fastapi_operator.cli.state import State
from fastapi_operator.cli.status import print_tree
from fastapi_operator.cluster import discovery, pods
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.delivery.progress import Progress
from fastapi_operator.observability.current import Current, current
from fastapi_operator.observability.samples import Scrape, Window
from fastapi_operator.parts import Part

# Rates are means over so many readings: short enough to follow, long enough not to jump.
_READINGS = 8
_HISTORY = 200
# A pod that does not respond by then has no place in a live view.
_PAGE_SECONDS = 5.0
_PLAIN_TERMINALS = ("", "dumb", "unknown")

Show = Callable[[State, "_Meter"], None]


def run(
    name: str,
    *,
    as_json: bool,
    interval: int,
    ready_seconds: int | None,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
) -> None:
    """Shows a service until it is ready, or until the user ends the command.

    Args:
        name: Name of the service.
        as_json: Whether to print JSON, one line for each change.
        interval: Seconds between two looks.
        ready_seconds: Seconds in which it must become ready; None watches without end.
        kubeconfig: Kubeconfig.
        context: Context of the kubeconfig.
        namespace: Namespace of the service.
    """
    live = not as_json and _is_live()

    async def work(cluster: Cluster) -> str:
        meter = _Meter(cluster, name, interval)
        with _view(interval) if live else contextlib.nullcontext(_Changes(as_json=as_json)) as show:
            # Without a terminal, only the state is shown, so no pod is read.
            reading = asyncio.create_task(meter.run()) if live else None
            try:
                return await _watch(
                    cluster, name, meter, show, interval=interval, ready_seconds=ready_seconds
                )
            finally:
                if reading is not None:
                    reading.cancel()

    # A terminated command leaves the terminal as it was, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        failure = run_with_cluster(
            work, kubeconfig=kubeconfig, context=context, namespace=namespace
        )
    except KeyboardInterrupt:
        raise typer.Exit(0 if ready_seconds is None else 1) from None
    if failure:
        console.print_error(f"{name} is not ready: {failure}")
        raise typer.Exit(1)


def _is_live() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in _PLAIN_TERMINALS


async def _watch(
    cluster: Cluster,
    name: str,
    meter: "_Meter",
    show: Show,
    *,
    interval: int,
    ready_seconds: int | None,
) -> str:
    """Returns why the service did not become ready; empty if it is."""
    clock = asyncio.get_running_loop().time
    began = clock()
    facts = await discovery.discover(cluster.client)
    is_asked_again = False
    while True:
        looked = clock()
        try:
            found = await state.read(cluster, name, facts)
        except ApiError as error:
            if not error.temporary:
                raise
            if not is_asked_again:
                is_asked_again = True
                console.print_line(f"the API server is asked again: {error}", to_stderr=True)
        else:
            is_asked_again = False
            show(found, meter)
            if ready_seconds is not None:
                progress = Progress(int(found.body["metadata"]["generation"]))
                if found.record["ready"] and progress.is_ready(found.body):
                    return ""
                if failure := progress.failure(found.body):
                    return failure
        if ready_seconds is not None and clock() - began > ready_seconds:
            return f"not within {ready_seconds} s (--timeout)"
        await asyncio.sleep(max(0.0, looked + interval - clock()))


class _Meter:
    """Reads the metrics of the pods again and again, beside the state."""

    def __init__(self, cluster: Cluster, name: str, interval: int) -> None:
        self._cluster, self._name, self._interval = cluster, name, interval
        self._scrapes: dict[str, deque[Scrape]] = {}
        self._parts: dict[str, Part] = {}
        self.history: deque[float] = deque(maxlen=_HISTORY)
        self.note = ""

    async def run(self) -> NoReturn:
        """Reads the pods at the interval, for as long as the command runs."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                self.note = await self._read(clock)
            except ApiError as error:
                self.note = f"the pods were not read: {sampling.explain_refusal(error)}"
            if (now := self.current({})) and now.traffic:
                self.history.append(now.traffic.requests)
            await asyncio.sleep(max(0.0, began + self._interval - clock()))

    async def _read(self, clock: Callable[[], float]) -> str:
        """Reads each pod once; returns why no app pod was read, or an empty text."""
        found = await pods.pods_of(self._cluster.client, self._cluster.namespace, self._name)
        targets = {pod.name: pod for pod in found if pod.running and pod.ports}
        self._parts = {name: pod.part for name, pod in targets.items()}
        self._scrapes = {name: self._scrapes.get(name, deque(maxlen=_READINGS)) for name in targets}
        failures: dict[str, str] = {}
        await asyncio.gather(
            *(
                sampling.scrape(
                    self._cluster,
                    pod,
                    clock,
                    self._scrapes[name],
                    failures,
                    seconds=_PAGE_SECONDS,
                )
                for name, pod in targets.items()
            )
        )
        app = [name for name, part in self._parts.items() if part is Part.APP]
        if not app:
            return "no running app pod has a port with metrics"
        return failures[app[0]] if all(name in failures for name in app) else ""

    def current(self, budget: Mapping[str, int]) -> Current | None:
        """Returns the load; None before each pod was read twice."""
        windows: dict[Part, list[Window]] = {}
        for name, scrapes in self._scrapes.items():
            if len(scrapes) > 1:
                windows.setdefault(self._parts[name], []).append(Window(tuple(scrapes)))
        if not windows:
            return None
        return current(
            windows, servers=budget.get("poolerServers"), database=budget.get("maxConnections")
        )


class _Changes:
    """Prints the state once for each change, without control codes."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._last: object = None

    def __call__(self, found: State, meter: "_Meter") -> None:  # noqa: ARG002
        if (found.record, found.rollouts) == self._last:
            return
        first = self._last is None
        self._last = found.record, found.rollouts
        if self._as_json:
            typer.echo(json.dumps(found.record, ensure_ascii=False))
        else:
            if not first:
                console.print_line()
            now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            console.print_line(now, console.DIM)
            print_tree(found.record, values=False)
            for rollout in found.rollouts:
                console.print_line(f"rollout {rollout}")
        sys.stdout.flush()


@contextlib.contextmanager
def _view(interval: int) -> Iterator[Show]:
    """Opens the live view, and leaves its last state on the terminal."""
    from rich.console import Console  # noqa: PLC0415 (only a terminal needs it)
    from rich.live import Live  # noqa: PLC0415

    from fastapi_operator.cli.screen import Seen, render  # noqa: PLC0415

    terminal = Console()
    with Live(console=terminal, auto_refresh=False) as live:

        def show(found: State, meter: _Meter) -> None:
            budget = (found.body.get("status") or {}).get("connectionBudget") or {}
            seen = Seen(
                record=found.record,
                rollouts=found.rollouts,
                current=meter.current(budget),
                note=meter.note,
                history=tuple(meter.history),
                at=datetime.datetime.now(datetime.UTC),
                interval=interval,
            )
            live.update(render(seen, terminal.width), refresh=True)

        yield show
