"""``recommend``: better numbers for a service, from a measurement."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import yaml

from fastapi_operator.cli import console, inputs, table
from fastapi_operator.cli.table import Cell, Row
from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.measurements import Measurements
from fastapi_operator.views.recommendation import Advice, Recommendation, advise, display_gain
from fastapi_operator.views.spec_patch import SpecPatch, spec_patch


class Output(StrEnum):
    """Output formats of the recommendations."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class Advised(NamedTuple):
    """The advice for a service, and all that it follows from."""

    advice: Advice
    settings: Settings
    facts: Facts
    measurements: Measurements

    def patch(self) -> SpecPatch:
        """Returns the patch that makes the recommended numbers permanent."""
        return spec_patch(self.advice, self.settings, self.facts, self.measurements)


def recommend(  # noqa: PLR0917 (typer reads them as options)
    name: inputs.LiveNameArgument = None,
    file: inputs.LiveFileOption = None,
    measurements: inputs.MeasurementsOption = None,
    all_services: Annotated[
        bool,
        typer.Option(
            "--all", help="All services of the namespace, with the CPU and memory to win."
        ),
    ] = False,
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="With --all: of the whole cluster.")
    ] = False,
    output: Annotated[
        Output,
        typer.Option(
            "-o",
            "--output",
            help="Format: a table, data for programs, or yaml: a patch of the spec.",
        ),
    ] = Output.TABLE,
    url: Annotated[
        str | None,
        typer.Option(
            "--prometheus",
            metavar="URL",
            help="Read from Prometheus instead of the pods, for example http://localhost:9090.",
        ),
    ] = None,
    seconds: Annotated[
        int | None,
        typer.Option(
            "--seconds",
            min=5,
            max=604_800,
            metavar="SECONDS",
            help="Measure for this time, as measure does. Default: the measurements that the "
            "operator keeps, if there are some.",
        ),
    ] = None,
    facts: inputs.FactsOption = None,
    settings: inputs.SettingsOption = None,
    profiles: inputs.ProfilesOption = None,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Recommend better numbers for a service from a measurement.

    Use the measurements that the operator keeps of the service in a ConfigMap, or measure its pods
    as measure does: without the ConfigMap, or with --seconds or --prometheus. A file of
    measurements is read with --measurements. Derive the numbers again from them. Print each number
    that would change by at least a tenth: now, better, the evidence, the expected effect and the
    cost of the change. The spec is never overruled: numbers that it sets are not listed. With too
    few data there is no recommendation, and the reason is printed.

    With -o yaml, print a patch of the spec that makes the numbers permanent. Nothing is applied.

    Examples:
      fastapi-operator recommend shop --prometheus http://localhost:9090
      fastapi-operator recommend -f service.yaml --measurements measured.yaml
      fastapi-operator recommend shop -o yaml > patch.yaml
      fastapi-operator recommend --all -n production

    Exit status:
      0  the recommendations are printed, also if there are none
      1  a service is invalid
      2  an input cannot be read, or nothing can be measured
    """
    if all_services and (name or file):
        inputs.fail("name a service, or use --all, not both")
    if all_namespaces and not all_services:
        inputs.fail("--all-namespaces needs --all")
    if all_services and measurements is not None:
        inputs.fail("--all measures the services; give a file of services with -f")
    if not all_services:
        inputs.require_one_source(name, file)
    if file is not None:
        if measurements is None:
            inputs.fail("-f FILE needs --measurements FILE; write one with: measure NAME -o yaml")
        found = _offline(file, measurements, facts, settings, profiles)
    else:
        # Imports the cluster's client.
        from fastapi_operator.cli import recommend_live  # noqa: PLC0415

        found = recommend_live.measure(
            name,
            everywhere=all_namespaces,
            file=measurements,
            url=url,
            seconds=seconds,
            settings=settings,
            profiles=profiles,
            namespace=namespace,
            context=context,
            kubeconfig=kubeconfig,
        )
    if output is Output.JSON:
        records = [item.advice.record() for item in found]
        console.print_json(records if all_services or len(records) != 1 else records[0])
    elif output is Output.YAML:
        _print_patches(found)
    elif all_services:
        _print_fleet(found)
    else:
        for item in found:
            _print(item.advice)


def _offline(
    file: str,
    measurements: Path,
    facts: Path | None,
    settings: Path | None,
    profiles: Path | None,
) -> list[Advised]:
    known, ours = inputs.read_facts(facts), inputs.read_settings(settings, profiles)
    services = inputs.read_services(file)
    bodies = [{"metadata": service.metadata.model_dump()} for service in services]
    measured = inputs.read_measurements(measurements, bodies)
    return [
        Advised(advise(service, ours, known, figures), ours, known, figures)
        for service, body in zip(services, bodies, strict=True)
        for figures in (measured(body),)
    ]


def _print(advice: Advice) -> None:
    name, count = advice.service.metadata.name, len(advice.recommendations)
    numbers = "1 number" if count == 1 else f"{count or 'no'} numbers"
    console.print_line(f"{name}: {numbers} to change", console.BOLD)
    for contradiction in advice.contradictions:
        console.print_note(name, contradiction)
    if not count:
        return
    console.print_line()
    headings = ("number", "now", "better", "requests", "disruption", "reason and evidence")
    for line in table.format_lines(headings, _rows(advice.recommendations)):
        console.print_line(line)
    console.print_line()
    followers = ", ".join(
        f"{change.decision.name} {change.before.display()} to {change.after.display()}"
        for change in advice.followers
        if change.before and change.after
    )
    if followers:
        console.print_line(f"These follow: {followers}")
    gain = display_gain(advice.cpu_millicores, advice.memory_bytes)
    console.print_line(f"Requests of all pods at the minimum: {gain}")


def _rows(recommendations: Sequence[Recommendation]) -> Iterator[Row]:
    for item in recommendations:
        yield [
            item.better.name,
            item.now.display(),
            Cell(item.better.display(), console.BOLD),
            display_gain(item.cpu_millicores, item.memory_bytes),
            item.better.disruption.value,
            f"{item.better.reason}: {'; '.join(item.evidence)}. Response times: {item.latency}.",
        ]


def _print_fleet(found: Sequence[Advised]) -> None:
    rows: list[Row] = [
        [
            f"{item.advice.service.metadata.namespace}/{item.advice.service.metadata.name}",
            _cores(item.advice.cpu_millicores),
            _gibibytes(item.advice.memory_bytes),
            ", ".join(one.better.name for one in item.advice.recommendations) or "none",
        ]
        for item in sorted(found, key=lambda one: -one.advice.memory_bytes)
    ]
    rows.append(
        [
            Cell("total", console.BOLD),
            _cores(sum(item.advice.cpu_millicores for item in found)),
            _gibibytes(sum(item.advice.memory_bytes for item in found)),
            "",
        ]
    )
    for line in table.format_lines(("service", "cores to win", "GiB to win", "numbers"), rows):
        console.print_line(line)


def _cores(millicores: int) -> str:
    return f"{millicores / 1000:.2f}"


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.2f}"


def _print_patches(found: Sequence[Advised]) -> None:
    for item in found:
        metadata, patch = item.advice.service.metadata, item.patch()
        if not patch.spec:
            console.print_note(metadata.name, "there is nothing to change")
            continue
        lines = ["---"]
        for one in item.advice.recommendations:
            lines.append(
                f"# {one.better.name}: {one.now.display()} to {one.better.display()}: "
                f"{'; '.join(one.evidence)}"
            )
        lines += [f"# {difference}" for difference in patch.differences]
        body: dict[str, Any] = {
            "apiVersion": "fastapi-operator.io/v1alpha1",
            "kind": "FastAPIService",
            "metadata": {"name": metadata.name, "namespace": metadata.namespace},
            "spec": patch.spec,
        }
        lines.append(yaml.safe_dump(body, sort_keys=False).rstrip())
        typer.echo("\n".join(lines))
