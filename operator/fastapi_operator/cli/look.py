"""Looks at a running service for a while: what ``doctor`` and ``measure`` begin with.

A module of its own, so that only commands that need a cluster load its client.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import typer

from fastapi_operator.api.parse import parse_service
from fastapi_operator.cli import console, inputs, prometheus
from fastapi_operator.cli.connected import Cluster
from fastapi_operator.cluster import discovery, pods
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.observability import readings
from fastapi_operator.observability.samples import Scrape, Series, Window, read_page
from fastapi_operator.observability.signals import Planned, ProxyLog, Signals
from fastapi_operator.parts import Part
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan

PODS_SECONDS = 30
PROMETHEUS_SECONDS = 600
# Often enough to see what comes and goes, seldom enough that reading is no load.
_READINGS = 20
_INTERVAL_MIN_SECONDS = 1.0

PrometheusOption = Annotated[
    str | None,
    typer.Option(
        "--prometheus",
        metavar="URL",
        help="Read Prometheus instead of the pods: http://localhost:9090.",
    ),
]
SecondsOption = Annotated[
    int | None,
    typer.Option(
        "--seconds",
        min=5,
        max=604_800,
        help=f"How long to look at the pods ({PODS_SECONDS}), or how far back in Prometheus "
        f"({PROMETHEUS_SECONDS}).",
    ),
]


@dataclass(frozen=True)
class Look:
    """What was seen.

    Attributes:
        plan: The numbers of the service.
        signals: Its signals.
        windows: The samples behind them, by pod.
        pods: Its pods.
    """

    plan: Plan
    signals: Signals
    windows: Mapping[str, Window]
    pods: tuple[pods.LivePod, ...]


async def look(
    cluster: Cluster,
    name: str,
    *,
    url: str | None,
    seconds: int | None,
    logs: bool = False,
    otherwise: str = "--prometheus URL",
) -> Look:
    """Looks at a service; ends the command where nothing can be seen.

    Args:
        cluster: The connection.
        name: The service.
        url: Prometheus; None reads the pods themselves.
        seconds: The length of the window.
        logs: Whether to read the proxy's log as well.
        otherwise: The option that helps where no pod can be read.
    """
    plan = await _plan(cluster, name)
    found = await pods.pods_of(cluster.client, cluster.namespace, name)
    if not any(pod.running and pod.part is Part.APP for pod in found):
        inputs.stop(f"{name}: no pod of the app runs; look with: fastapi-operator status {name}")
    if url is not None:
        seconds = seconds or PROMETHEUS_SECONDS
        windows = prometheus.windows(
            url,
            namespace=cluster.namespace,
            service=name,
            pods=[pod.name for pod in found],
            seconds=seconds,
            interval=plan.observability.scrape_interval_seconds.value,
        )
        if not windows:
            inputs.stop(
                f"--prometheus {url}: has no series of {cluster.namespace}/{name} in the last "
                f"{seconds} s; is the service scraped (kubectl get servicemonitor {name})?"
            )
    else:
        seconds = seconds or PODS_SECONDS
        windows = await _sample(cluster, found, seconds, otherwise)
    signals = readings.read(
        windows,
        (readings.Pod(pod.name, pod.part, pod.restarts, pod.memory_killed) for pod in found),
        planned=Planned.of(plan),
        proxy=await _proxy_log(cluster, found, seconds) if logs else None,
    )
    return Look(plan, signals, windows, found)


async def _plan(cluster: Cluster, name: str) -> Plan:
    body = await cluster.service(name)
    service, problems = parse_service(body)
    if service is None:
        console.problems(name, problems)
        inputs.stop(f"{name}: its spec is not valid")
    return derive(service, Settings(), await discovery.discover(cluster.client))


async def _sample(
    cluster: Cluster, found: Iterable[pods.LivePod], seconds: int, otherwise: str
) -> dict[str, Window]:
    """Reads the metrics pages of all pods, again and again."""
    targets = [pod for pod in found if pod.running and pod.ports]
    if not targets:
        inputs.stop(
            "no pod has a port named metrics: observability.metrics.enabled is false, or the pods "
            "are older than it"
        )
    interval = max(_INTERVAL_MIN_SECONDS, seconds / _READINGS)
    moments = round(seconds / interval)
    clock = asyncio.get_running_loop().time
    began = clock()
    scrapes: dict[str, list[Scrape]] = {pod.name: [] for pod in targets}
    failures: dict[str, str] = {}
    with typer.progressbar(
        length=moments + 1, label=f"reading {len(targets)} pods for {seconds} s", file=sys.stderr
    ) as progress:
        for moment in range(moments + 1):
            await asyncio.sleep(max(0.0, began + moment * interval - clock()))
            await asyncio.gather(
                *(_scrape(cluster, pod, clock, scrapes[pod.name], failures) for pod in targets)
            )
            progress.update(1)
            if moment == 0 and len(failures) == len(targets):
                break  # nobody answers: to wait changes nothing
    for pod, reason in sorted(failures.items()):
        console.say(f"not read: pod {pod}: {reason}", console.WARNING, remark=True)
    windows = {pod: Window(read) for pod, read in scrapes.items() if len(read) > 1}
    if not windows:
        inputs.stop(f"no pod could be read; another way is {otherwise}")
    return windows


async def _scrape(
    cluster: Cluster,
    pod: pods.LivePod,
    clock: Callable[[], float],
    scrapes: list[Scrape],
    failures: dict[str, str],
) -> None:
    """One reading of all metrics ports of a pod; a port that cannot be read is remembered."""
    values: dict[Series, float] = {}
    for port in pod.ports:
        try:
            text = await pods.page(cluster.client, cluster.namespace, pod.name, port, "/metrics")
            values.update(read_page(text, 0.0, readings.NAMES).values)
        except ApiError as error:
            failures[pod.name] = f"port {port}: {explained(error)}"
        except ValueError as error:
            failures[pod.name] = f"port {port}: no metrics page: {error}"
    if values:
        scrapes.append(Scrape(clock(), values))


def explained(error: ApiError) -> str:
    """What a person can do about a refusal."""
    if error.status == 403:
        return f"{error.message} (you need: get on pods/proxy, or --prometheus URL)"
    return error.message


async def _proxy_log(
    cluster: Cluster, found: Iterable[pods.LivePod], seconds: int
) -> ProxyLog | None:
    lines: list[str] = []
    read = False
    for pod in found:
        if pod.part is not Part.PROXY or not pod.running:
            continue
        try:
            text = await pods.log(cluster.client, cluster.namespace, pod.name, seconds=seconds)
        except ApiError as error:
            console.say(f"not read: log of {pod.name}: {error.message}", remark=True)
            continue
        read = True
        lines += text.splitlines()
    return readings.read_proxy_log(lines) if read else None
