"""``open``: a service in the browser."""

import asyncio
import os
import sys
import webbrowser
from typing import Annotated, Any

import typer

from fastapi_operator.cli import console, inputs, reach
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cluster import tunnel
from fastapi_operator.delivery.progress import is_in_cluster
from fastapi_operator.parts import Part

_USUAL_PORT = 8080


def open(
    name: NameArgument,
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Path of the page, for example /docs.")
    ] = "/",
    *,
    forward: Annotated[
        bool,
        typer.Option(
            "--forward", help="Forward a port, also if the service has a URL outside the cluster."
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65_535,
            metavar="PORT",
            help=f"Port of this machine. Default: {_USUAL_PORT}, or a free one.",
        ),
    ] = None,
    browser: Annotated[
        bool,
        typer.Option("--browser/--no-browser", help="Open the page, if there is a terminal."),
    ] = True,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Open a service in the browser.

    A service with a URL outside the cluster is opened there. For another one, a port of this
    machine is forwarded to its proxy, or to the app if it has none, until you press Ctrl+C. A
    connection reaches a pod that is ready then, so the port also works after a rollout. Needs get
    on the service, list on pods and, to forward, get and create on pods/portforward.

    Examples:
      fastapi-operator open shop
      fastapi-operator open shop /docs --port 9000 --no-browser

    Exit status:
      0  the page is open, or the forwarding was ended
      2  the service does not exist or has no pod, or the port is in use
    """
    page = f"/{path.lstrip('/')}"

    async def work(cluster: Cluster) -> None:
        url = _outside_url(await cluster.read_service(name))
        if url and not forward:
            _show(f"{url.rstrip('/')}{page}", browser=browser)
            return
        part = await _entry(cluster, name)
        chooser = reach.Chooser(cluster, name, part, part.record.port_name)
        try:
            await chooser()
        except tunnel.NoTargetError as error:
            inputs.fail(str(error))
        await _forward(cluster, name, chooser, port, page, browser=browser)

    try:
        run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    except KeyboardInterrupt:
        console.print_line("ended", to_stderr=True)


def _outside_url(body: dict[str, Any]) -> str:
    url = str((body.get("status") or {}).get("url") or "")
    return "" if is_in_cluster(url) else url


async def _entry(cluster: Cluster, name: str) -> Part:
    """Returns the part that clients reach first."""
    has_proxy = await reach.running_pods(cluster, name, Part.PROXY)
    return Part.PROXY if has_proxy else Part.APP


async def _forward(
    cluster: Cluster,
    name: str,
    chooser: reach.Chooser,
    port: int | None,
    page: str,
    *,
    browser: bool,
) -> None:
    def report(reason: str) -> None:
        console.print_line(f"a connection failed: {reason}", console.WARNING, to_stderr=True)

    # The usual port, or else any free one.
    for candidate in (port,) if port is not None else (_USUAL_PORT, 0):
        try:
            async with tunnel.listen(
                cluster.client, cluster.namespace, chooser, port=candidate, report=report
            ) as chosen:
                console.print_line(
                    f"forwarding to {name} in namespace {cluster.namespace}; end with Ctrl+C",
                    to_stderr=True,
                )
                _show(f"http://127.0.0.1:{chosen}{page}", browser=browser)
                await asyncio.Event().wait()
        except OSError as error:
            if port is not None:
                inputs.fail(f"--port {port}: {error.strerror}")


def _show(url: str, *, browser: bool) -> None:
    console.print_line(url, console.BOLD)
    sys.stdout.flush()
    # Without a display, Python would start a browser in the terminal.
    has_display = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if browser and has_display and sys.stdout.isatty():
        webbrowser.open(url)
