"""``explain``: each derived number of a service with its reason."""

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
    """Output formats of the explanation."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def explain(  # noqa: PLR0917 (typer reads them as options)
    name: inputs.LiveNameArgument = None,
    file: inputs.LiveFileOption = None,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="Format: a table, or data for programs.")
    ] = Output.TABLE,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="PATH=VALUE",
            help="Show only the numbers that change if a field of the spec has another value, for "
            "example resources.limits.cpu=2. Repeatable.",
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
    """Show every derived number of a service with its reason.

    Also show the connection budget and the footprint: the CPU, memory and storage that the
    service's pods request. With -f no cluster is needed. For a service in the cluster, the
    settings are those of its operator; their source is printed on standard error.

    Examples:
      fastapi-operator explain -f service.yaml
      fastapi-operator explain shop -n production
      fastapi-operator explain -f service.yaml --what-if scaling.maxReplicas=30

    Exit status:
      0  the numbers are printed
      1  the service is invalid
      2  an input cannot be read, or the cluster cannot be used
    """
    inputs.require_one_source(name, file)
    known = inputs.read_facts(facts)
    costs = inputs.read_prices(prices) if prices else None
    if file is not None:
        bodies: tuple[dict[str, Any], ...] = inputs.read_bodies(file)
        ours = inputs.read_settings(settings, profiles)
        source = str(settings or "built-in")
    else:
        from fastapi_operator.cli import live  # noqa: PLC0415 (imports the cluster's client)

        body, live_facts, used = live.read_service(
            str(name),
            settings=settings,
            profiles=profiles,
            namespace=namespace,
            context=context,
            kubeconfig=kubeconfig,
        )
        bodies, known = (body,), known if facts else live_facts
        ours, source = used
    records = []
    for body in bodies:
        current = _explain_body(body, ours, known)
        if what_if:
            changed = _explain_body(_with_values(body, what_if), ours, known)
            records.append(current.what_if_record(changed, costs) | {"settings": source})
            if output is Output.TABLE:
                print_what_if(current, changed, costs)
        else:
            records.append(current.record(costs) | {"settings": source})
            if output is Output.TABLE:
                print_explanation(current, costs)
    data = records[0] if len(records) == 1 else records
    if output is Output.JSON:
        console.print_json(data)
    elif output is Output.YAML:
        typer.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), nl=False)


def _explain_body(body: dict[str, Any], settings: Settings, facts: Facts) -> Explanation:
    service, problems = parse_service(body)
    if service is None:
        console.print_problems(inputs.name_of(body), problems)
        raise typer.Exit(1)
    plan = derive(service, settings, facts)
    return Explanation(
        service=service.metadata.name,
        plan=plan,
        footprint=footprints(service, plan, settings, facts),
        problems=(*problems, *plan.problems),
    )


def _with_values(body: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Returns a copy of the service with the values of ``--what-if``."""
    spec = body["spec"]
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator:
            inputs.fail(
                f"--what-if {assignment}: must be PATH=VALUE, for example server.threads=80"
            )
        try:
            fields.field_at(Spec, path)
            (document,) = read_documents(f"value: {text}")
        except (ValueError, DocumentError) as error:
            inputs.fail(f"--what-if {assignment}: {error}")
        spec = fields.with_value(spec, fields.split(path), document.body["value"])
    return {**body, "spec": spec}
