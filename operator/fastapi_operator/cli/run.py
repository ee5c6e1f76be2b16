"""``fastapi-operator run``: the operator itself."""

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
from fastapi_operator.cluster.lease import Lease, LeaseLostError
from fastapi_operator.reconcile.loop.controller import Controller
from fastapi_operator.reconcile.loop.endpoint import Endpoint
from fastapi_operator.reconcile.loop.telemetry import Telemetry, configure_logging
from fastapi_operator.reconcile.plan.desired_state import Draw, draw
from fastapi_operator.resources import templates
from fastapi_operator.settings import Settings

# A service that has been due for so long means that the workers hang.
STUCK_SECONDS = 300.0
RETRY_SECONDS = 2.0
# A pass takes a moment; one that waits for the API server for longer may as well be cut short.
# Kopf's own end and the Lease take up to 7 s more of the pod's terminationGracePeriodSeconds of 30.
SETTLE_SECONDS = 5.0
# An event or a request makes more than the usual 700 objects, nearly all of which go by their
# reference counts: looking for cycles each time costs more than it finds.
GC_THRESHOLDS = (10_000, 10, 10)
_INSTALL = "install the CRD: fastapi-operator crd | kubectl apply --server-side -f -"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """How one operator process runs."""

    settings: Settings
    kubeconfig: str | None = None
    context: str | None = None
    health_port: int = 8080
    dry_run: bool = False
    lease_namespace: str | None = None
    lease_name: str = "fastapi-operator"


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
      1  the cluster cannot be reached, or the Lease was lost
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
    )
    templates.load()
    gc.freeze()  # What is loaded by now stays, and need not be walked again.
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(operate(options, make=draw))
    except connection.UnreachableError as error:
        _log.error("cannot reach the cluster", error=str(error))
        raise typer.Exit(1) from error
    except LeaseLostError as error:
        _log.error("stopping", error=str(error))
        # Nothing may be written any more, not even what tidy shutdown would.
        os._exit(1)


def _own_namespace() -> str:
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"


async def operate(options: Options, *, make: Draw, stop: asyncio.Event | None = None) -> None:
    """Runs the operator until it is stopped.

    Args:
        options: How it runs.
        make: Draws a service's blueprint.
        stop: Ends the operator when it is set; signals set it too.

    Raises:
        UnreachableError: There is no usable configuration.
        LeaseLostError: Another operator took over.
    """
    stop = stop or asyncio.Event()
    telemetry = Telemetry()
    configuration = await connection.load(kubeconfig=options.kubeconfig, context=options.context)
    client = Client(configuration, dry_run=options.dry_run, observe=telemetry.request)
    controller = Controller(client, options.settings, telemetry, make=make)
    state = _State(controller)
    endpoint = Endpoint(telemetry, healthy=state.unhealthy, ready=state.unready)
    server = await endpoint.serve(options.health_port)
    lease = _lease(options, client)
    tasks: list[asyncio.Task[None]] = []
    try:
        _listen(stop)
        if lease is not None:
            state.standby = True
            await _unless(stop, lease.acquire())
            state.standby = False
        if not stop.is_set():
            tasks = await _begin(controller, lease, options, stop)
            await _watch(controller, configuration, options, stop, tasks)
    finally:
        await _end(tasks)
        if lease is not None:
            await lease.release()
        server.close()
        await client.close()


async def _begin(
    controller: Controller, lease: Lease | None, options: Options, stop: asyncio.Event
) -> list[asyncio.Task[None]]:
    """Starts what lives as long as the process. Kopf's end cancels tasks younger than itself."""
    tasks = [asyncio.create_task(lease.keep(), name="lease")] if lease is not None else []
    await _unless(stop, _first_lists(controller))
    tasks.append(asyncio.create_task(controller.resync(), name="resync"))
    tasks.append(asyncio.create_task(controller.look_at_images(), name="images"))
    for number in range(options.settings.workers):
        tasks.append(asyncio.create_task(controller.work(), name=f"worker {number}"))
    return tasks


async def _first_lists(controller: Controller) -> None:
    while True:
        try:
            await controller.discover()
            await controller.sync()
        except ApiError as error:
            remedy = _INSTALL if error.status == 404 else ""
            _log.warning("first lists failed", error=str(error).strip(), remedy=remedy)
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
    """Keeps Kopf watching: anew where other kinds are on offer, and where Kopf broke.

    What was missed in between is found by new lists; the store and the queue live on.
    """
    while not stop.is_set():
        offered = kinds.on_offer(controller.facts)
        namespaces = options.settings.watch_namespaces
        restart, started = asyncio.Event(), asyncio.Event()
        controller.watching()
        # Older than Kopf's task: on its way out Kopf cancels every younger one.
        confirming = asyncio.create_task(controller.confirm(), name="confirm")
        watching = asyncio.create_task(
            kopf.operator(
                registry=handlers.registry(controller, configuration, offered),
                settings=handlers.settings(offered),
                memories=handlers.NoMemories(),
                standalone=True,
                # Kopf would ask for the user's name, which a numeric user in a pod has not; the
                # argument's type is private.
                identity="fastapi-operator",  # type: ignore[arg-type]
                clusterwide=not namespaces,
                namespaces=namespaces,
                ready_flag=started,
                stop_flag=restart,
            ),
            name="kopf",
        )
        listening = asyncio.create_task(_listen_again(started, stop), name="signals")
        try:
            await _until_changed(controller, options, stop, watching, tasks)
            await _settle(controller)
            if stop.is_set():
                # What has not ended by now is done by the next process, as after any other end.
                await _end(tasks)
        except BaseException:
            # Nothing may be written any more: the lease is lost, or we no longer know what we do.
            await _end(tasks)
            raise
        finally:
            restart.set()
            for task in (confirming, listening):
                task.cancel()
            await asyncio.gather(watching, confirming, listening, return_exceptions=True)
            _listen(stop)
        if not stop.is_set():
            await _unless(stop, _first_lists(controller))
            controller.queue.resume()


async def _settle(controller: Controller) -> None:
    """Lets passes end before Kopf does: on its way out it cancels the tasks that they started."""
    controller.queue.pause()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_SECONDS):
            await controller.queue.idle()


async def _until_changed(
    controller: Controller,
    options: Options,
    stop: asyncio.Event,
    watching: asyncio.Task[None],
    tasks: list[asyncio.Task[None]],
) -> None:
    """Waits until the watched kinds change, Kopf breaks, or the operator is to stop.

    Raises:
        Exception: Whatever ended one of our own tasks, none of which ends by itself.
    """
    while not stop.is_set():
        waiting = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait(
            [waiting, watching, *tasks],
            timeout=options.settings.discovery_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        waiting.cancel()
        for task in done - {waiting, watching}:
            task.result()
        if watching in done:
            error = None if watching.cancelled() else watching.exception()
            if error is None:
                # A signal ended it, and is meant for us as well.
                stop.set()
            else:
                _log.error("watching broke", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(RETRY_SECONDS)
            return
        if await _unless(stop, controller.discover()):
            return


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, T]) -> T | None:
    """Does some work, or gives it up when the operator is stopped."""
    working, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working in done:
        return working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return None


async def _end(tasks: list[asyncio.Task[None]]) -> None:
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


class _State:
    """What the probes tell."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.standby = False

    def unhealthy(self) -> str:
        """Why the process should be restarted."""
        waited = self._controller.queue.oldest_wait_seconds
        return f"a service has waited for {waited:.0f} s" if waited > STUCK_SECONDS else ""

    def unready(self) -> str:
        """Why the process does no work; a standby is ready for its turn."""
        if self.standby or self._controller.synced:
            return self.unhealthy()
        return "the first lists are not complete"


async def _listen_again(started: asyncio.Event, stop: asyncio.Event) -> None:
    """Takes the signals back from Kopf: passes end before it, and not by its hand."""
    await started.wait()
    _listen(stop)


def _listen(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT stop the operator.

    Kopf puts its own handlers in the place of ours, and those that it leaves behind lead nowhere.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except (NotImplementedError, RuntimeError):
            # Not the main thread: a test's operator, which is stopped by its event.
            return
