"""``measure``: the ``traffic`` section of a spec, from what a running service does."""

import datetime

import typer

from fastapi_operator.cli import inputs
from fastapi_operator.cli.connected import Cluster, NameArgument, connected
from fastapi_operator.cli.look import Look, PrometheusOption, SecondsOption, look
from fastapi_operator.observability.traffic import measure as measured
from fastapi_operator.parts import Part


def measure(  # noqa: PLR0917 (typer reads them as options)
    name: NameArgument,
    url: PrometheusOption = None,
    seconds: SecondsOption = None,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Print a traffic block for the spec, measured while it runs.

    The peak is that of the window: with --prometheus URL --seconds 86400 it is that of a day.
    Exit status: 2 where nothing could be measured.
    """

    async def work(cluster: Cluster) -> Look:
        return await look(cluster, name, url=url, seconds=seconds)

    seen = connected(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    app = {pod.name for pod in seen.pods if pod.part is Part.APP}
    windows = [window for pod, window in seen.windows.items() if pod in app]
    try:
        found = measured(windows)
    except ValueError as error:
        inputs.stop(f"{name}: {error} in {seen.signals.seconds:.0f} s; send traffic meanwhile")
    until = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    typer.echo(
        f"# {name}: {found.requests:.0f} requests in {found.seconds:.0f} s to {until}, "
        f"{len(windows)} pods"
    )
    typer.echo("traffic:")
    for field, value in found.fields.items():
        typer.echo(f"  {field}: {value}")
