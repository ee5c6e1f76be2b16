"""``doctor``: why a service is slow, and what to change."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.connected import Cluster, NameArgument, connected
from fastapi_operator.cli.look import Look, PrometheusOption, SecondsOption, look
from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.diagnoses.rules import diagnose


class Output(StrEnum):
    """How the diagnoses are printed."""

    TABLE = "table"
    JSON = "json"


def doctor(  # noqa: PLR0917 (typer reads them as options)
    name: NameArgument,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="Words for people, or data for machines.")
    ] = Output.TABLE,
    url: PrometheusOption = None,
    seconds: SecondsOption = None,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Say why a service is slow: signal, diagnosis, change, the largest effect first.

    Reads the pods' own metrics through the API server, which needs the rights to list pods and
    to get pods/proxy and pods/log, or Prometheus. Looks while the trouble lasts: what it does not
    see it cannot find.

    Exit status: 0 nothing found, 1 something found, 2 could not look.
    """

    async def work(cluster: Cluster) -> Look:
        return await look(cluster, name, url=url, seconds=seconds, logs=True)

    seen = connected(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    found = diagnose(seen.signals)
    if output is Output.JSON:
        record = {
            "service": name,
            "seconds": round(seen.signals.seconds, 1),
            "pods": len(seen.windows),
            "requests": round(seen.signals.requests),
            "diagnoses": [item.record() for item in found],
        }
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        _print(name, seen, found)
    if found:
        raise typer.Exit(1)


def _print(name: str, seen: Look, found: tuple[Diagnosis, ...]) -> None:
    signals = seen.signals
    console.say(
        f"{name}: {len(seen.windows)} pods read over {signals.seconds:.0f} s, "
        f"{signals.requests:.0f} requests",
        console.BOLD,
    )
    if not signals.app:
        console.say(
            "no pod of the app shows the runtime's metrics: only the parts around it were judged "
            "(install fastapi-operator-runtime to see inside)",
            console.WARNING,
            remark=True,
        )
    elif signals.requests < bounds.REQUESTS_MIN:
        console.say(
            "hardly a request came: look again while there is traffic", console.WARNING, remark=True
        )
    if not found:
        console.say("nothing found")
    for number, item in enumerate(found, start=1):
        console.say()
        where = f" (pod {item.pod})" if item.pod else ""
        console.say(f"{number}. {item.rule}{where}", console.HEADING)
        shown = "; ".join(f"{signal} {value}" for signal, value in item.signals.items())
        console.say(f"   signal     {shown}")
        console.say(f"   diagnosis  {item.diagnosis}")
        console.say(f"   change     {item.change}")
        if item.field:
            value = "" if item.value is None else f": {item.value}"
            console.say(f"   field      {item.field}{value}", console.BOLD)
        console.say(f"   effect     {item.effect:.1f} requests wait or are lost at any moment")
