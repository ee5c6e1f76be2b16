"""Samples the metrics of a running service, for ``doctor``, ``measure`` and ``profile``."""

import asyncio
import datetime
import sys
from collections.abc import Callable, Iterable, Mapping, MutableSequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.cli import console, inputs, operator_settings, prometheus
from fastapi_operator.cli.accepted import read_accepted
from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cli.live import discover_facts
from fastapi_operator.cluster import discovery, pods
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.transport import REQUEST_TIMEOUT_SECONDS
from fastapi_operator.facts import Facts
from fastapi_operator.observability import readings, traffic
from fastapi_operator.observability.samples import Scrape, Series, Window, read_page
from fastapi_operator.observability.signals import Planned, ProxyLog, Signals
from fastapi_operator.parts import Part
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive_accepted
from fastapi_operator.tuning.measurements import Measurements
from fastapi_operator.tuning.plan import Plan

PODS_SECONDS = 30
PROMETHEUS_SECONDS = 600
# Enough to see short bursts, and few enough that the reading itself causes no load.
_READINGS = 20
_INTERVAL_MIN_SECONDS = 1.0
_NO_RUNTIME = "no process listens, so the app does not call the runtime's install(app)"

PrometheusOption = Annotated[
    str | None,
    typer.Option(
        "--prometheus",
        metavar="URL",
        help="Read from Prometheus instead of the pods, for example http://localhost:9090.",
    ),
]
SecondsOption = Annotated[
    int | None,
    typer.Option(
        "--seconds",
        min=5,
        max=604_800,
        metavar="SECONDS",
        help="Length of the window: the time to sample the pods, or the last seconds in "
        f"Prometheus. Default: {PODS_SECONDS}, with Prometheus {PROMETHEUS_SECONDS}.",
    ),
]


@dataclass(frozen=True)
class Observation:
    """The observed state of a running service.

    Attributes:
        plan: The derived numbers of the service.
        signals: The signals of the window.
        windows: The samples from which the signals are computed, by pod.
        pods: The pods of the service.
        settings: The source of the settings.
        service: The service.
        known: The settings and the facts from which the plan is derived.
        accepted: The figures that automatic tuning accepted.
    """

    plan: Plan
    signals: Signals
    windows: Mapping[str, Window]
    pods: tuple[pods.LivePod, ...]
    settings: str
    service: FastAPIService
    known: tuple[Settings, Facts]
    accepted: Measurements

    def measurements(self) -> Measurements:
        """Returns the measurements of the app.

        Raises:
            ValueError: The app completed no request in the window.
        """
        now = datetime.datetime.now(datetime.UTC)
        app = [pod for pod in self.pods if pod.part is Part.APP and pod.name in self.windows]
        found = traffic.measurements(
            {pod.name: self.windows[pod.name] for pod in app},
            {
                pod.name: (now - datetime.datetime.fromisoformat(pod.started)).total_seconds()
                for pod in app
                if pod.started
            },
        )
        metadata = self.service.metadata
        return found.model_copy(
            update={
                "service": f"{metadata.namespace}/{metadata.name}",
                "until": now.strftime("%Y-%m-%d %H:%M UTC"),
            }
        )

    def windows_of_parts(self) -> dict[Part, list[Window]]:
        """Returns the windows by the part of their pods."""
        found: dict[Part, list[Window]] = {}
        for pod in self.pods:
            if pod.name in self.windows:
                found.setdefault(pod.part, []).append(self.windows[pod.name])
        return found


async def observe(
    cluster: Cluster,
    name: str,
    *,
    url: str | None,
    seconds: int | None,
    logs: bool = False,
    alternative: str = "--prometheus URL",
) -> Observation:
    """Observes a service for a window of time; ends the command if nothing can be read.

    Args:
        cluster: The connection.
        name: Name of the service.
        url: URL of Prometheus; None reads the pods instead.
        seconds: Length of the window; None uses the default of the source.
        logs: Whether to read the proxy's log too.
        alternative: The option to suggest if no pod can be read.
    """
    body = await cluster.read_service(name)
    used = await operator_settings.read_if_published(cluster, body)
    service = parse(body)
    facts = await read_facts(cluster)
    accepted = await read_accepted(cluster, name)
    plan = derive_accepted(service, used.settings, facts, accepted)
    found = await pods.pods_of(cluster.client, cluster.namespace, name)
    if not any(pod.running and pod.part is Part.APP for pod in found):
        inputs.fail(
            f"{name}: no app pod is running; see why with: {cluster.command('status', name)}"
        )
    if url is not None:
        seconds = seconds or PROMETHEUS_SECONDS
        windows = prometheus.read_windows(
            url,
            namespace=cluster.namespace,
            service=name,
            pods=[pod.name for pod in found],
            seconds=seconds,
            interval=plan.observability.scrape_interval_seconds.value,
        )
        if not windows:
            inputs.fail(
                f"--prometheus {url}: no series of {cluster.namespace}/{name} in the last "
                f"{seconds} s; check that Prometheus scrapes the service: kubectl get "
                f"servicemonitor {name} -n {cluster.namespace}"
            )
    else:
        seconds = seconds or PODS_SECONDS
        windows = await _sample(cluster, name, found, seconds, alternative)
    signals = readings.read(
        windows,
        (readings.Pod(pod.name, pod.part, pod.restarts, pod.memory_killed) for pod in found),
        planned=Planned.of(plan),
        proxy=await _proxy_log(cluster, found, seconds) if logs else None,
    )
    known = (used.settings, facts)
    return Observation(plan, signals, windows, found, used.source, service, known, accepted)


def parse(body: dict[str, Any]) -> FastAPIService:
    """Returns a live service; ends the command if it is invalid."""
    name = inputs.name_of(body)
    service, problems = parse_service(body)
    if service is None:
        console.print_problems(name, problems)
        inputs.fail(f"{name}: the spec is invalid; correct the errors above")
    return service


async def read_facts(cluster: Cluster) -> Facts:
    """Returns the facts; without the right to read the namespace, without its profile."""
    try:
        return await discover_facts(cluster)
    except ApiError as error:
        if error.status != 403:
            raise
        return await discovery.discover(cluster.client)


async def _sample(
    cluster: Cluster, name: str, found: Iterable[pods.LivePod], seconds: int, alternative: str
) -> dict[str, Window]:
    """Reads the metrics pages of all pods at regular intervals."""
    targets = [pod for pod in found if pod.running and pod.ports]
    if not targets:
        inputs.fail(
            "no pod has a port named metrics: set spec.observability.metrics.enabled to true, or, "
            "if it is true, wait for the rollout"
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
                *(scrape(cluster, pod, clock, scrapes[pod.name], failures) for pod in targets)
            )
            progress.update(1)
            if moment == 0 and len(failures) == len(targets):
                break  # No pod could be read, so further attempts would fail too.
    for pod, reason in sorted(failures.items()):
        console.print_line(f"pod {pod} was not read: {reason}", console.WARNING, to_stderr=True)
    windows = {pod: Window(read) for pod, read in scrapes.items() if len(read) > 1}
    if not windows:
        if all(reason.endswith(_NO_RUNTIME) for reason in failures.values()):
            inputs.fail(
                f"{name}: no pod exposes metrics, since the app does not have the runtime; install "
                "fastapi-operator-runtime in the image. Without it, these work: "
                "spec.observability.metrics.exporters: true for the metrics of the other parts, "
                f"and {cluster.command('profile', name)} --py-spy for the app"
            )
        inputs.fail(f"no pod could be read; use {alternative} instead")
    return windows


async def scrape(
    cluster: Cluster,
    pod: pods.LivePod,
    clock: Callable[[], float],
    scrapes: MutableSequence[Scrape],
    failures: dict[str, str],
    *,
    seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> None:
    """Reads all metrics ports of a pod once.

    Args:
        cluster: The connection.
        pod: The pod.
        clock: Returns the time in seconds.
        scrapes: Gets the values.
        failures: Gets the reason by the name of the pod, if a port cannot be read.
        seconds: The longest time for a port.
    """
    values: dict[Series, float] = {}
    for port in pod.ports:
        try:
            text = await pods.page(
                cluster.client, cluster.namespace, pod.name, port, "/metrics", seconds=seconds
            )
            values.update(read_page(text, 0.0, readings.NAMES).values)
        except ApiError as error:
            refused = error.reason == "PortForward" and "refused" in error.message
            known = _NO_RUNTIME if refused and pod.part is Part.APP else explain_refusal(error)
            failures[pod.name] = f"port {port}: {known}"
        except ValueError as error:
            failures[pod.name] = f"port {port}: not a metrics page: {error}"
    if values:
        scrapes.append(Scrape(clock(), values))


def explain_refusal(error: ApiError) -> str:
    """Returns an error of the API server with its remedy."""
    if error.status == 403:
        return (
            f"{error.message} (grant get and create on pods/portforward, or use --prometheus URL)"
        )
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
            console.print_line(f"log of {pod.name} was not read: {error.message}", to_stderr=True)
            continue
        read = True
        lines += text.splitlines()
    return readings.read_proxy_log(lines) if read else None
