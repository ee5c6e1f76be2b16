"""``doctor``: diagnoses of a slow service, with the fields to change."""

from enum import StrEnum
from typing import Annotated

import typer

from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cli.sampling import Observation, PrometheusOption, SecondsOption, observe
from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.diagnoses.rules import diagnose


class Output(StrEnum):
    """Output formats of the diagnoses."""

    TABLE = "table"
    JSON = "json"


def doctor(  # noqa: PLR0917 (typer reads them as options)
    name: NameArgument,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="Format: text, or data for programs.")
    ] = Output.TABLE,
    url: PrometheusOption = None,
    seconds: SecondsOption = None,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Find out why a service is slow and which field to change.

    Print signal, diagnosis and change for each cause, the largest effect first. Run it while the
    service is slow: a problem that does not occur during the window is not found.

    The metrics are read from the pods through the API server, or from Prometheus. Needs the rights
    to list pods, to get pods/log and, without --prometheus, to get and create pods/portforward.

    Examples:
      fastapi-operator doctor shop --seconds 60
      fastapi-operator doctor shop --prometheus http://localhost:9090

    Exit status:
      0  no cause found
      1  at least one cause found
      2  the service cannot be read
    """

    async def work(cluster: Cluster) -> Observation:
        return await observe(cluster, name, url=url, seconds=seconds, logs=True)

    observation = run_with_cluster(
        work, kubeconfig=kubeconfig, context=context, namespace=namespace
    )
    found = diagnose(observation.signals)
    if output is Output.JSON:
        record = {
            "service": name,
            "seconds": round(observation.signals.seconds, 1),
            "pods": len(observation.windows),
            "requests": round(observation.signals.requests),
            "settings": observation.settings,
            "diagnoses": [item.record() for item in found],
        }
        console.print_json(record)
    else:
        _print(name, observation, found)
    if found:
        raise typer.Exit(1)


def _print(name: str, observation: Observation, found: tuple[Diagnosis, ...]) -> None:
    signals = observation.signals
    console.print_line(
        f"{name}: {len(observation.windows)} pods read for {signals.seconds:.0f} s, "
        f"{signals.requests:.0f} requests",
        console.BOLD,
    )
    if not signals.app:
        console.print_line(
            "no app pod exposes the runtime's metrics, so only the other parts were diagnosed; to "
            "include the app, install fastapi-operator-runtime in its image",
            console.WARNING,
            to_stderr=True,
        )
    elif signals.requests < bounds.REQUESTS_MIN:
        console.print_line(
            "too few requests to diagnose: repeat the command while there is traffic",
            console.WARNING,
            to_stderr=True,
        )
    if not found:
        console.print_line("no cause found")
    for number, item in enumerate(found, start=1):
        console.print_line()
        pod = f" (pod {item.pod})" if item.pod else ""
        console.print_line(f"{number}. {item.rule}{pod}", console.HEADING)
        shown = "; ".join(f"{signal} {value}" for signal, value in item.signals.items())
        console.print_line(f"   signal     {shown}")
        console.print_line(f"   diagnosis  {item.diagnosis}")
        console.print_line(f"   change     {item.change}")
        if item.field:
            value = "" if item.value is None else f": {item.value}"
            console.print_line(f"   field      {item.field}{value}", console.BOLD)
        console.print_line(
            f"   effect     {item.effect:.1f} requests are waiting or lost at any time"
        )
