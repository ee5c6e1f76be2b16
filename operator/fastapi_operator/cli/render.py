"""``render``: every object that the operator would apply."""

from typing import Any

import typer
import yaml

from fastapi_operator.cli import console, inputs
from fastapi_operator.resources.build import build
from fastapi_operator.resources.checks import object_problems
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning.derive import derive


def render(
    file: inputs.FileOption,
    measurements: inputs.MeasurementsOption = None,
    facts: inputs.FactsOption = None,
    settings: inputs.SettingsOption = None,
    profiles: inputs.ProfilesOption = None,
) -> None:
    """Print every object that the operator would apply.

    The output is YAML. The values of generated credentials do not exist yet, so a comment lists
    their keys instead. No cluster is needed.

    Examples:
      fastapi-operator render -f service.yaml
      fastapi-operator render -f service.yaml --facts facts.yaml > objects.yaml

    Exit status:
      0  the objects are printed
      1  a service is invalid; its objects are not printed
      2  an input cannot be read
    """
    known, ours = inputs.read_facts(facts), inputs.read_settings(settings, profiles)
    failed = False
    services = inputs.read_services(file)
    bodies = [{"metadata": service.metadata.model_dump()} for service in services]
    measured = inputs.read_measurements(measurements, bodies)
    for service, body in zip(services, bodies, strict=True):
        plan = derive(service, ours, known, measured(body))
        console.print_problems(service.metadata.name, plan.problems)
        if inputs.has_errors(plan.problems):
            failed = True
            continue
        objects = build(service, plan, ours, known)
        found = tuple(object_problems(Inputs.of(service, plan, ours, known), objects))
        console.print_problems(service.metadata.name, found)
        if inputs.has_errors(found):
            failed = True
            continue
        for desired in objects:
            typer.echo(document(desired), nl=False)
    if failed:
        raise typer.Exit(1)


def document(desired: Desired) -> str:
    """Returns an object as a YAML document, with the same bytes each time."""
    comments = []
    if desired.generate is not None:
        later = "changed only by rotations" if desired.generate.alternating else "never changed"
        keys = ", ".join(desired.generate.keys)
        comments.append(f"# generated when first written, then {later}: {keys}")
    if desired.retain:
        comments.append("# kept when the service is deleted")
    body = yaml.dump(
        desired.body, Dumper=_BlockDumper, sort_keys=False, allow_unicode=True, width=1000
    )
    return "\n".join(("---", *comments, body))


class _BlockDumper(yaml.SafeDumper):
    """Writes the files in ConfigMaps as readable blocks."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (the API server reads no anchors)
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_BlockDumper.add_representer(str, _represent_text)
