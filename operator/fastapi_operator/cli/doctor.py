"""``doctor``: diagnoses of a slow service, with the fields to change."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer

from fastapi_operator.cli import console, inputs, missing_indexes
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cli.sampling import Observation, PrometheusOption, SecondsOption, observe
from fastapi_operator.observability import bounds, timeline
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.diagnoses.rules import by_effect, diagnose


class Output(StrEnum):
    """Output formats of the diagnoses."""

    TABLE = "table"
    JSON = "json"
    HTML = "html"


def doctor(
    name: NameArgument,
    *,
    output: Annotated[
        Output,
        typer.Option(
            "-o",
            "--output",
            help="Format: text, a page for a browser, or data for programs.",
        ),
    ] = Output.TABLE,
    url: PrometheusOption = None,
    seconds: SecondsOption = None,
    indexes: Annotated[
        bool,
        typer.Option(help="Try indexes on the slowest statements of the database."),
    ] = True,
    yes: Annotated[
        bool, typer.Option("--yes", help="Try them on an external database too.")
    ] = False,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Find out why a service is slow and which field to change.

    Print signal, diagnosis and change for each cause, the largest effect first. Run it while the
    service is slow: a problem that does not occur during the window is not found. With -o html,
    print one file for a browser that also draws the signals over time.

    The metrics are read from the pods through the API server, or from Prometheus. Needs the rights
    to list pods, to get pods/log and, without --prometheus, to get and create pods/portforward.

    If the server of the database has the extension hypopg, hypothetical indexes are tried on the
    statements that took most of the time. Statements are planned, not executed, and the transaction
    is rolled back. Needs kubectl and the rights to get and create pods/exec; an external database
    is only read with --yes, by psql of this machine through the pooler.

    Examples:
      fastapi-operator doctor shop --seconds 60
      fastapi-operator doctor shop --prometheus http://localhost:9090
      fastapi-operator doctor shop -o html > doctor.html

    Exit status:
      0  no cause found
      1  at least one cause found
      2  the service cannot be read
    """

    async def work(cluster: Cluster) -> tuple[Observation, missing_indexes.Tried]:
        observation = await observe(cluster, name, url=url, seconds=seconds, logs=True)
        if not indexes:
            return observation, missing_indexes.Tried()
        return observation, await missing_indexes.find(
            cluster, observation.service, observation.pods, external=yes, kubeconfig=kubeconfig
        )

    observation, tried = run_with_cluster(
        work, kubeconfig=kubeconfig, context=context, namespace=namespace
    )
    if tried.note:
        console.print_line(tried.note, console.DIM, to_stderr=True)
    found = by_effect((*diagnose(observation.signals), *tried.diagnoses))
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
    elif output is Output.HTML:
        typer.echo(_page(name, observation, found), nl=False)
    else:
        _print(name, observation, found)
    if found:
        raise typer.Exit(1)


def _page(name: str, observation: Observation, found: tuple[Diagnosis, ...]) -> str:
    # Text and data need no templates.
    from fastapi_operator.views.diagnosis_page import diagnosis_page  # noqa: PLC0415

    return diagnosis_page(
        name,
        found,
        observation.signals,
        timeline.charts(observation.windows_of_parts(), observation.plan),
        pods=len(observation.windows),
        settings=observation.settings,
        notes=tuple(_notes(observation)),
    )


def _notes(observation: Observation) -> Iterator[str]:
    """Yields what limits the diagnoses."""
    if not observation.signals.app:
        yield (
            "no app pod exposes the runtime's metrics, so only the other parts were diagnosed; to "
            "include the app, install fastapi-operator-runtime in its image"
        )
    elif observation.signals.requests < bounds.REQUESTS_MIN:
        yield "too few requests to diagnose: repeat the command while there is traffic"


def _print(name: str, observation: Observation, found: tuple[Diagnosis, ...]) -> None:
    signals = observation.signals
    console.print_line(
        f"{name}: {len(observation.windows)} pods read for {signals.seconds:.0f} s, "
        f"{signals.requests:.0f} requests",
        console.BOLD,
    )
    for note in _notes(observation):
        console.print_line(note, console.WARNING, to_stderr=True)
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
