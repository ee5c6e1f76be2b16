"""``explain``: each number of a service with its reason."""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml

from fastapi_operator.api import fields
from fastapi_operator.api.documents import DocumentError, read_documents
from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import Spec
from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.explanation import Explanation, print_explanation, print_what_if
from fastapi_operator.facts import Facts
from fastapi_operator.resources.footprint import footprints
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive


class Output(StrEnum):
    """How the explanation is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def explain(  # noqa: PLR0917 (typer reads them as options)
    name: inputs.LiveNameArgument = None,
    file: inputs.LiveFileOption = None,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="A table for people, or data for machines.")
    ] = Output.TABLE,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="PATH=VALUE",
            help="Show only what another value of the spec would change, and why: "
            "--what-if resources.limits.cpu=2. May be repeated.",
        ),
    ] = None,
    prices: inputs.PricesOption = None,
    facts: inputs.FactsOption = None,
    settings: inputs.SettingsOption = None,
    profiles: inputs.ProfilesOption = None,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Show every derived number with its reason, the connection budget and the footprint."""
    inputs.need_one_source(name, file)
    ours, known = inputs.read_settings(settings, profiles), inputs.read_facts(facts)
    costs = inputs.read_prices(prices) if prices else None
    if file is not None:
        bodies: tuple[dict[str, Any], ...] = inputs.read_bodies(file)
    else:
        from fastapi_operator.cli import live  # noqa: PLC0415 (loads the cluster's client)

        body, offered = live.read(
            str(name), namespace=namespace, context=context, kubeconfig=kubeconfig
        )
        bodies, known = (body,), known if facts else offered
    records = []
    for body in bodies:
        now = _explained(body, ours, known)
        if what_if:
            then = _explained(_with_values(body, what_if), ours, known)
            records.append(now.what_if_record(then, costs))
            if output is Output.TABLE:
                print_what_if(now, then, costs)
        else:
            records.append(now.record(costs))
            if output is Output.TABLE:
                print_explanation(now, costs)
    if output is not Output.TABLE:
        typer.echo(_text(records[0] if len(records) == 1 else records, output))


def _explained(body: dict[str, Any], settings: Settings, facts: Facts) -> Explanation:
    service, problems = parse_service(body)
    if service is None:
        console.problems(inputs.name_of(body), problems)
        raise typer.Exit(1)
    plan = derive(service, settings, facts)
    return Explanation(
        service=service.metadata.name,
        plan=plan,
        footprint=footprints(service, plan, settings, facts),
        problems=(*problems, *plan.problems),
    )


def _with_values(body: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of the service with other values, as ``--what-if`` gives them."""
    spec = body["spec"]
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator:
            inputs.stop(f"--what-if {assignment!r}: write PATH=VALUE, such as server.threads=80")
        try:
            fields.field_at(Spec, path)
            (document,) = read_documents(f"value: {text}")
        except (ValueError, DocumentError) as error:
            inputs.stop(f"--what-if {assignment}: {error}")
        spec = fields.with_value(spec, fields.split(path), document.body["value"])
    return {**body, "spec": spec}


def _text(data: Any, output: Output) -> str:
    if output is Output.JSON:
        return json.dumps(data, indent=2, ensure_ascii=False)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip()
