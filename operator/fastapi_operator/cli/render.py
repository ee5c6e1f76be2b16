"""``render``: every object that the operator would apply."""

from typing import Any

import typer
import yaml

from fastapi_operator.cli import console, inputs
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.tuning.derive import derive


def render(
    file: inputs.FileOption,
    facts: inputs.FactsOption = None,
    settings: inputs.SettingsOption = None,
    profiles: inputs.ProfilesOption = None,
) -> None:
    """Print every object the operator would apply, as YAML; needs no cluster.

    Values of generated credentials do not exist yet, so a comment names their keys instead.
    """
    known, ours = inputs.read_facts(facts), inputs.read_settings(settings, profiles)
    failed = False
    for service in inputs.read_services(file):
        plan = derive(service, ours, known)
        console.problems(service.metadata.name, plan.problems)
        if inputs.has_errors(plan.problems):
            failed = True
            continue
        for desired in build(service, plan, ours, known):
            typer.echo(document(desired), nl=False)
    if failed:
        raise typer.Exit(1)


def document(desired: Desired) -> str:
    """One object as a YAML document; the same bytes each time."""
    remarks = []
    if desired.generate is not None:
        after = "changed by rotations alone" if desired.generate.alternating else "never again"
        keys = ", ".join(desired.generate.keys)
        remarks.append(f"# generated when first written, {after}: {keys}")
    if desired.retain:
        remarks.append("# stays when the service is deleted")
    body = yaml.dump(
        desired.body, Dumper=_BlockDumper, sort_keys=False, allow_unicode=True, width=1000
    )
    return "\n".join(("---", *remarks, body))


class _BlockDumper(yaml.SafeDumper):
    """Writes files inside ConfigMaps as readable blocks."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (the same part may stand twice)
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_BlockDumper.add_representer(str, _represent_text)
