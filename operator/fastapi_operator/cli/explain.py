"""``explain``: each derived number of a service with its reason."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import yaml

from fastapi_operator.api import fields
from fastapi_operator.api.documents import DocumentError, read_documents
from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import FastAPIService, Spec
from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.explanation import print_explanation, print_what_if
from fastapi_operator.facts import Facts
from fastapi_operator.resources.footprint import footprints_of_parts
from fastapi_operator.resources.prices import Prices
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive, derive_accepted
from fastapi_operator.tuning.measurements import NOT_MEASURED, Measurements
from fastapi_operator.tuning.plan import Plan
from fastapi_operator.views.explanation import Explanation


class _Given(NamedTuple):
    """A service as it was read, with all that its plan depends on."""

    body: dict[str, Any]
    settings: Settings
    facts: Facts
    source: str
    origin: str
    measurements: Measurements = NOT_MEASURED
    accepted: Measurements = NOT_MEASURED

    def plan_of(self, service: FastAPIService) -> Plan:
        """Returns the plan with the measurements of a file, or else with those in force."""
        if self.measurements is not NOT_MEASURED:
            return derive(service, self.settings, self.facts, self.measurements)
        return derive_accepted(service, self.settings, self.facts, self.accepted)


class Output(StrEnum):
    """Output formats of the explanation."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    HTML = "html"


def explain(  # noqa: PLR0917 (typer reads them as options)
    name: inputs.LiveNameArgument = None,
    file: inputs.LiveFileOption = None,
    output: Annotated[
        Output,
        typer.Option(
            "-o",
            "--output",
            help="Format: a table, a page for a browser, or data for programs.",
        ),
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
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--beside",
            metavar="SERVICE",
            help="Another service to compare with: with -f a file, else a NAME or NAMESPACE/NAME "
            "in the cluster. Repeatable.",
        ),
    ] = None,
    measurements: inputs.MeasurementsOption = None,
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

    With -o html, print one file for a browser: the connection budget, the timeouts and the
    footprint as drawings, and each number with the inputs behind its reason. It needs no network.

    Examples:
      fastapi-operator explain -f service.yaml
      fastapi-operator explain shop -n production
      fastapi-operator explain -f service.yaml --what-if scaling.maxReplicas=30
      fastapi-operator explain -f service.yaml -o html > service.html
      fastapi-operator explain -f service.yaml --measurements measured.yaml
      fastapi-operator explain shop --beside staging/shop -o html > shops.html

    Exit status:
      0  the numbers are printed
      1  the service is invalid
      2  an input cannot be read, or the cluster cannot be used
    """
    inputs.require_one_source(name, file)
    costs = inputs.read_prices(prices) if prices else None
    if file is not None:
        known, ours = inputs.read_facts(facts), inputs.read_settings(settings, profiles)
        given = [
            _Given(
                body, ours, known, str(settings or "built-in"), Path(inputs.display_name(path)).name
            )
            for path in (file, *(beside or ()))
            for body in inputs.read_bodies(path)
        ]
    else:
        given = [
            _read_live(
                other,
                facts=facts,
                settings=settings,
                profiles=profiles,
                namespace=namespace,
                context=context,
                kubeconfig=kubeconfig,
            )
            for other in (str(name), *(beside or ()))
        ]
    measured = inputs.read_measurements(measurements, (one.body for one in given))
    given = [one._replace(measurements=measured(one.body)) for one in given]
    pairs = [(one, _explain_body(one.body, one), _changed(one, what_if)) for one in given]
    if output is Output.TABLE:
        for _, current, changed in pairs:
            if changed is None:
                print_explanation(current, costs)
            else:
                print_what_if(current, changed, costs)
        return
    if output is Output.HTML:
        typer.echo(_page(pairs, costs, tuple(what_if or ())), nl=False)
        return
    records = [
        (current.record(costs) if changed is None else current.what_if_record(changed, costs))
        | {"settings": one.source}
        for one, current, changed in pairs
    ]
    data = records[0] if len(records) == 1 else records
    if output is Output.JSON:
        console.print_json(data)
    else:
        typer.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), nl=False)


def _read_live(
    name: str,
    *,
    facts: Path | None,
    namespace: str | None,
    **options: Any,
) -> _Given:
    from fastapi_operator.cli import live  # noqa: PLC0415 (imports the cluster's client)

    of_other, _, own = name.rpartition("/")
    found = live.read_service(own, namespace=of_other or namespace, **options)
    return _Given(
        found.body,
        found.used.settings,
        inputs.read_facts(facts) if facts else found.facts,
        found.used.source,
        found.body["metadata"]["namespace"],
        accepted=found.accepted,
    )


def _changed(one: _Given, what_if: list[str] | None) -> Explanation | None:
    return _explain_body(_with_values(one.body, what_if), one) if what_if else None


def _page(
    pairs: Sequence[tuple[_Given, Explanation, Explanation | None]],
    prices: Prices | None,
    what_if: tuple[str, ...],
) -> str:
    # A table needs no templates, and their import takes as long as a plan.
    from fastapi_operator.views.explanation_page import Column, explanation_page  # noqa: PLC0415

    if what_if and len(pairs) > 1:
        inputs.fail(f"-o html with --what-if shows one service, not {len(pairs)}")
    if what_if:
        ((_, current, changed),) = pairs
        assert changed is not None, "--what-if has a second plan"
        columns = [Column("now", current), Column("what if", changed)]
    else:
        names = _headings([one for one, _, _ in pairs])
        columns = [Column(name, found) for name, (_, found, _) in zip(names, pairs, strict=True)]
    sources = ", ".join(dict.fromkeys(one.source for one, _, _ in pairs))
    return explanation_page(columns, prices, settings=sources, what_if=what_if)


def _headings(given: Sequence[_Given]) -> list[str]:
    """Returns the names of services; equal names have their file or namespace, or a number."""
    names = [inputs.name_of(one.body) for one in given]
    for marks in ([one.origin for one in given], range(1, len(given) + 1)):
        if len(set(names)) == len(names):
            break
        names = [
            f"{inputs.name_of(one.body)} ({mark})" for one, mark in zip(given, marks, strict=True)
        ]
    return names


def _explain_body(body: dict[str, Any], given: _Given) -> Explanation:
    service, problems = parse_service(body)
    if service is None:
        console.print_problems(inputs.name_of(body), problems)
        raise typer.Exit(1)
    plan = given.plan_of(service)
    return Explanation(
        service=service.metadata.name,
        plan=plan,
        parts=footprints_of_parts(service, plan, given.settings, given.facts),
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
