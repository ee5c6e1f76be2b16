"""``measure``: the ``traffic`` section of a spec, or all figures, of a running service."""

import datetime
from enum import StrEnum
from typing import Annotated

import typer
import yaml

from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cli.sampling import Observation, PrometheusOption, SecondsOption, observe
from fastapi_operator.observability.traffic import measure as measured
from fastapi_operator.parts import Part
from fastapi_operator.tuning.measurements import Measurements


class Output(StrEnum):
    """Output formats of the measurement."""

    TRAFFIC = "traffic"
    YAML = "yaml"
    JSON = "json"


def measure(  # noqa: PLR0917 (typer reads them as options)
    name: NameArgument,
    output: Annotated[
        Output,
        typer.Option(
            "-o", "--output", help="Format: a section of the spec, or a file for --measurements."
        ),
    ] = Output.TRAFFIC,
    url: PrometheusOption = None,
    seconds: SecondsOption = None,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Measure a running service and print its traffic section.

    Copy the output into the spec, or write all figures with -o yaml to a file that explain, render
    and recommend read with --measurements. The peak is that of the measured window: to get the
    peak of a day, use --prometheus with --seconds 86400. Needs the right to list pods and, without
    --prometheus, to get and create pods/portforward.

    Examples:
      fastapi-operator measure shop --seconds 120
      fastapi-operator measure shop --prometheus http://localhost:9090
      fastapi-operator measure shop -o yaml > measured.yaml

    Exit status:
      0  the measurement is printed
      2  nothing can be measured, for example because no request was served
    """

    async def work(cluster: Cluster) -> Observation:
        return await observe(cluster, name, url=url, seconds=seconds)

    observation = run_with_cluster(
        work, kubeconfig=kubeconfig, context=context, namespace=namespace
    )
    app = {pod.name for pod in observation.pods if pod.part is Part.APP}
    windows = [window for pod, window in observation.windows.items() if pod in app]
    try:
        if output is not Output.TRAFFIC:
            _print(observation.measurements(), output)
            return
        found = measured(windows)
    except ValueError as error:
        inputs.fail(
            f"{name}: {error} in {observation.signals.seconds:.0f} s; measure while there is "
            "traffic"
        )
    until = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    typer.echo(
        f"# {name}: {found.requests:.0f} requests in {found.seconds:.0f} s to {until}, "
        f"{len(windows)} pods"
    )
    typer.echo("traffic:")
    for field, value in found.fields.items():
        typer.echo(f"  {field}: {value}")


def _print(found: Measurements, output: Output) -> None:
    record = found.model_dump(mode="json", by_alias=True, exclude_none=True)
    if output is Output.JSON:
        console.print_json(record)
    else:
        typer.echo(yaml.safe_dump(record, sort_keys=False), nl=False)
