"""``fastapi-operator run``: the operator process."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import kopf
import structlog
import typer
import uvloop

from fastapi_operator import handlers
from fastapi_operator.cli import inputs
from fastapi_operator.cluster import connection, kinds
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.failures import Failures
from fastapi_operator.cluster.lease import Lease, LeaseLostError
from fastapi_operator.reconcile.loop import contact as contacts
from fastapi_operator.reconcile.loop.canary import Looks
from fastapi_operator.reconcile.loop.canary_looks import MetricsLooks
from fastapi_operator.reconcile.loop.contact import Contact, NoContactError
from fastapi_operator.reconcile.loop.controller import Controller
from fastapi_operator.reconcile.loop.endpoint import Endpoint
from fastapi_operator.reconcile.loop.probes import Probes
from fastapi_operator.reconcile.loop.published_settings import PublishedSettings
from fastapi_operator.reconcile.loop.telemetry import Telemetry, configure_logging
from fastapi_operator.reconcile.plan.desired_state import BuildDesiredState, build_desired_state
from fastapi_operator.resources import templates
from fastapi_operator.settings import Settings

RETRY_SECONDS = 2.0
# A reconciliation takes a moment; if it waits for the API server for longer, it is cancelled.
# Stopping Kopf and releasing the Lease take up to 7 s more of the pod's grace period of 30 s.
DRAIN_SECONDS = 5.0
# An event or a request creates more objects than the default threshold of 700, and nearly all are
# freed by reference counts: a search for cycles each time costs more than it frees.
GC_THRESHOLDS = (10_000, 10, 10)
_INSTALL = "install the CRD: fastapi-operator crd | kubectl apply --server-side -f -"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """The options of one operator process."""

    settings: Settings
    kubeconfig: str | None = None
    context: str | None = None
    health_port: int = 8080
    dry_run: bool = False
    lease_namespace: str | None = None
    lease_name: str = "fastapi-operator"
    published: PublishedSettings | None = None


def run(  # noqa: PLR0917 (typer reads them as options)
    kubeconfig: Annotated[
        str | None,
        typer.Option(
            "--kubeconfig",
            metavar="FILE",
            help="Kubeconfig. Default: the pod's service account, else KUBECONFIG.",
        ),
    ] = None,
    context: inputs.ContextOption = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "-n",
            "--namespace",
            metavar="NAME",
            help="Namespace to watch. Repeatable. Default: watchNamespaces of the settings.",
        ),
    ] = None,
    settings: inputs.SettingsOption = None,
    health_port: Annotated[
        int,
        typer.Option(
            "--health-port", metavar="PORT", help="Port of /metrics, /healthz and /readyz."
        ),
    ] = 8080,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Log the changes without writing them.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="NUMBER",
            help="Services to reconcile at the same time. Default: workers of the settings.",
        ),
    ] = None,
    lease_namespace: Annotated[
        str | None,
        typer.Option(
            "--lease-namespace",
            metavar="NAME",
            help="Namespace of the Lease. Default: that of the pod.",
        ),
    ] = None,
    lease_name: Annotated[
        str,
        typer.Option(
            "--lease-name",
            metavar="NAME",
            help="Name of the Lease. Of several operators with the same name, one is the leader.",
        ),
    ] = "fastapi-operator",
    lease: Annotated[
        bool,
        typer.Option(
            "--lease/--no-lease", help="Use leader election, so that only one replica works."
        ),
    ] = True,
    publish_settings: Annotated[
        str | None,
        typer.Option(
            "--publish-settings",
            metavar="NAME",
            help="Name of a ConfigMap in the namespace of the Lease, in which the settings are "
            "published for commands about services. Default: not published.",
        ),
    ] = None,
    log_level: Annotated[
        str,
        typer.Option(
            "--log-level", metavar="LEVEL", help="Log level: debug, info, warning or error."
        ),
    ] = "info",
) -> None:
    """Run the operator.

    In a cluster, the chart starts this command in a Deployment. On your machine, --dry-run shows
    what the operator would change.

    Examples:
      fastapi-operator run --dry-run --namespace shop

    Exit status:
      0  stopped by SIGTERM or SIGINT
      1  the cluster cannot be reached for 5 minutes, or the Lease was lost
      2  the settings cannot be read
    """
    configure_logging(level=log_level)
    chosen = inputs.read_settings(settings, None)
    changes: dict[str, object] = {}
    if namespace:
        changes["watch_namespaces"] = tuple(namespace)
    if workers is not None:
        changes["workers"] = workers
    chosen = Settings.model_validate({**chosen.model_dump(), **changes})
    options = Options(
        settings=chosen,
        kubeconfig=kubeconfig,
        context=context,
        health_port=health_port,
        dry_run=dry_run,
        lease_namespace=(lease_namespace or _own_namespace()) if lease and not dry_run else None,
        lease_name=lease_name,
        published=PublishedSettings(lease_namespace or _own_namespace(), publish_settings)
        if publish_settings and not dry_run
        else None,
    )
    templates.load()
    gc.freeze()  # Objects that are loaded by now stay, and need not be traversed again.
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(operate(options, build=build_desired_state))
    except connection.UnreachableError as error:
        _log.error("cannot connect to the cluster", error=str(error))
        raise typer.Exit(1) from error
    except NoContactError as error:
        _log.error("stopping", error=str(error))
        raise typer.Exit(1) from error
    except LeaseLostError as error:
        _log.error("stopping", error=str(error))
        # Nothing may be written any more, so that even a clean shutdown is skipped.
        os._exit(1)


def _own_namespace() -> str:
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"


async def operate(
    options: Options,
    *,
    build: BuildDesiredState,
    looks: Looks | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Runs the operator until it is stopped.

    Args:
        options: The options of the process.
        build: Builds the desired state of a service.
        looks: Looks at canaries; None to read the metrics of their pods.
        stop: Stops the operator when it is set; signals set it too.

    Raises:
        UnreachableError: There is no usable configuration.
        LeaseLostError: Another operator may have become leader.
        NoContactError: The API server has not responded for too long.
    """
    stop = stop or asyncio.Event()
    telemetry = Telemetry()
    contact = Contact(
        with_lease=options.lease_namespace is not None,
        discovery_seconds=options.settings.discovery_seconds,
        clock=time.monotonic,
    )

    def observe(verb: str, resource: str, status: int, seconds: float) -> None:
        telemetry.request(verb, resource, status, seconds)
        contact.request(resource, status)

    configuration = await connection.load(kubeconfig=options.kubeconfig, context=options.context)
    client = Client(configuration, dry_run=options.dry_run, observe=observe)
    controller = Controller(
        client,
        options.settings,
        telemetry,
        build=build,
        looks=looks or MetricsLooks(client, enabled=options.settings.read_metrics),
        published=options.published,
    )
    probes = Probes(controller, contact, resync_seconds=options.settings.resync_seconds)
    telemetry.watch_process(lambda: probes.working)
    endpoint = Endpoint(telemetry, healthy=probes.why_unhealthy, ready=probes.why_not_ready)
    server = await endpoint.serve(options.health_port)
    lease = _lease(options, client)
    tasks: list[asyncio.Task[None]] = []
    watchdog = asyncio.create_task(_stop_without_contact(contact, stop), name="contact")
    try:
        _handle_signals(stop)
        if lease is not None:
            probes.standby = True
            await _run_until_stopped(stop, lease.acquire())
            probes.standby = False
        if not stop.is_set():
            tasks = await _start_tasks(controller, client, lease, options, stop)
            await _watch(controller, configuration, options, stop, tasks)
        if watchdog.done():
            watchdog.result()
    finally:
        await _cancel([watchdog, *tasks])
        if lease is not None:
            await lease.release()
        server.close()
        await client.close()


async def _start_tasks(
    controller: Controller,
    client: Client,
    lease: Lease | None,
    options: Options,
    stop: asyncio.Event,
) -> list[asyncio.Task[None]]:
    """Starts the tasks of the whole process.

    They must be older than Kopf's task, because Kopf cancels all younger tasks when it ends.
    """
    tasks = [asyncio.create_task(lease.keep(), name="lease")] if lease is not None else []
    await _run_until_stopped(stop, _list_with_retries(controller))
    if options.published is not None:
        publishing = options.published.keep(client, options.settings)
        tasks.append(asyncio.create_task(publishing, name="settings"))
    tasks.append(asyncio.create_task(controller.resync(), name="resync"))
    tasks.append(asyncio.create_task(controller.poll_images(), name="images"))
    if controller.observer.enabled:
        tasks.append(asyncio.create_task(controller.observer.run(), name="observer"))
    if controller.leak_guard.enabled:
        tasks.append(asyncio.create_task(controller.leak_guard.run(), name="leak guard"))
    for number in range(options.settings.workers):
        tasks.append(asyncio.create_task(controller.worker.run(), name=f"worker {number}"))
    return tasks


async def _stop_without_contact(contact: Contact, stop: asyncio.Event) -> None:
    """Stops the operator if the API server has not responded for too long.

    This task must be older than Kopf's, because Kopf cancels all younger tasks when it ends.

    Raises:
        NoContactError: After it has set ``stop``.
    """
    while contact.age_seconds < contact.exit_seconds:  # noqa: ASYNC110 (time passes, no event)
        await asyncio.sleep(1.0)
    stop.set()
    raise NoContactError(contact.why_missing())


async def _list_with_retries(controller: Controller) -> None:
    failures = Failures(_log, "initial list failed", clock=time.monotonic)
    while True:
        try:
            await controller.discover()
            await controller.sync()
        except ApiError as error:
            remedy = _INSTALL if error.status == 404 else ""
            failures.add(error=str(error).strip(), remedy=remedy)
            # A missing CRD is installed at any time; any other error may end with new credentials.
            if error.status != 404 and failures.seconds > contacts.EXIT_SECONDS:
                raise NoContactError(f"initial list failed: {error}") from error
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


async def _watch(
    controller: Controller,
    configuration: object,
    options: Options,
    stop: asyncio.Event,
    tasks: list[asyncio.Task[None]],
) -> None:
    """Runs Kopf, and restarts it if the served kinds change or if Kopf fails.

    New lists find the changes that were missed in between; the store and the queue are kept.
    """
    while not stop.is_set():
        served = kinds.on_offer(controller.facts)
        namespaces = options.settings.watch_namespaces
        restart, started = asyncio.Event(), asyncio.Event()
        controller.begin_watching()
        # This task must be older than Kopf's, because Kopf cancels all younger tasks when it ends.
        confirming = asyncio.create_task(controller.confirm(), name="confirm")
        watching = asyncio.create_task(
            kopf.operator(
                registry=handlers.registry(controller, configuration, served),
                settings=handlers.settings(served),
                memories=handlers.NoMemories(),
                standalone=True,
                # By default Kopf reads the name of the user, which a numeric user in a pod lacks.
                # The type of the argument is private.
                identity="fastapi-operator",  # type: ignore[arg-type]
                clusterwide=not namespaces,
                namespaces=namespaces,
                ready_flag=started,
                stop_flag=restart,
            ),
            name="kopf",
        )
        listening = asyncio.create_task(_handle_signals_after(started, stop), name="signals")
        try:
            await _wait_for_change(controller, stop, watching, tasks)
            await _drain(controller)
            if stop.is_set():
                # Unfinished work is left to the next process, as after a crash.
                await _cancel(tasks)
        except BaseException:
            # Nothing may be written any more: the lease is lost, or the state is unknown.
            await _cancel(tasks)
            raise
        finally:
            restart.set()
            for task in (confirming, listening):
                task.cancel()
            await asyncio.gather(watching, confirming, listening, return_exceptions=True)
            _handle_signals(stop)
        if not stop.is_set():
            await _run_until_stopped(stop, _list_with_retries(controller))
            controller.queue.resume()


async def _drain(controller: Controller) -> None:
    """Waits for active reconciliations before Kopf ends, because Kopf cancels their requests."""
    controller.queue.pause()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await controller.queue.idle()


async def _wait_for_change(
    controller: Controller,
    stop: asyncio.Event,
    watching: asyncio.Task[None],
    tasks: list[asyncio.Task[None]],
) -> None:
    """Waits until the watched kinds change, Kopf fails, or the operator is stopped.

    Raises:
        Exception: The error of one of the process's own tasks, which run until they are cancelled.
    """
    while not stop.is_set():
        waiting = asyncio.create_task(stop.wait())
        due = asyncio.create_task(controller.discovery_due())
        done, _ = await asyncio.wait(
            [waiting, due, watching, *tasks], return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        due.cancel()
        for task in done - {waiting, due, watching}:
            task.result()
        if watching in done:
            error = None if watching.cancelled() else watching.exception()
            if error is None:
                # A signal ended Kopf, and so must end the operator as well.
                stop.set()
            else:
                _log.error("watching failed", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(RETRY_SECONDS)
            return
        if await _run_until_stopped(stop, controller.discover()):
            return


async def _run_until_stopped(stop: asyncio.Event, work: Coroutine[None, None, T]) -> T | None:
    """Runs a coroutine; cancels it and returns None if the operator is stopped first."""
    working, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working in done:
        return working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return None


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _lease(options: Options, client: Client) -> Lease | None:
    if options.lease_namespace is None:
        return None
    return Lease(
        client,
        namespace=options.lease_namespace,
        name=options.lease_name,
        identity=f"{socket.gethostname()}_{os.getpid()}",
        clock=time.monotonic,
    )


async def _handle_signals_after(started: asyncio.Event, stop: asyncio.Event) -> None:
    """Replaces Kopf's signal handlers, so that reconciliations end before Kopf does."""
    await started.wait()
    _handle_signals(stop)


def _handle_signals(stop: asyncio.Event) -> None:
    """Makes SIGTERM and SIGINT stop the operator.

    Kopf replaces these handlers with its own when it starts, and does not restore them.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except (NotImplementedError, RuntimeError):
            # Not in the main thread: the operator of a test, which is stopped by its event.
            return
