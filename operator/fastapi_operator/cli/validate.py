"""``validate``: everything that is wrong with a service, before any cluster sees it."""

import typer

from fastapi_operator.api.parse import parse_service
from fastapi_operator.cli import console, inputs
from fastapi_operator.tuning.derive import derive


def validate(
    file: inputs.FileOption,
    facts: inputs.FactsOption = None,
    settings: inputs.SettingsOption = None,
    profiles: inputs.ProfilesOption = None,
) -> None:
    """Check services by schema, rules and plan; exit 1 where one has an error.

    The first two stages are what the API server checks at kubectl apply; the third is what the
    operator would answer in status as Stalled.
    """
    known, ours = inputs.read_facts(facts), inputs.read_settings(settings, profiles)
    failed = False
    for body in inputs.read_bodies(file):
        service, problems = parse_service(body)
        if service is not None:
            problems = (*problems, *derive(service, ours, known).problems)
        console.problems(inputs.name_of(body), problems)
        if inputs.has_errors(problems):
            failed = True
        else:
            typer.echo(f"{inputs.name_of(body)}: valid")
    if failed:
        raise typer.Exit(1)
