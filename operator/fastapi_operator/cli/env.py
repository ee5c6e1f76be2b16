"""``env``: the environment of the app as dotenv."""

import typer

from fastapi_operator.cli import console, inputs
from fastapi_operator.resources.environment import Process, environment
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning.derive import derive

_LOCAL = {
    "DATABASE_URL": "postgresql://postgres@127.0.0.1:5432/app",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "UVICORN_HOST": "127.0.0.1",
    "GRANIAN_HOST": "127.0.0.1",
}


def env(
    file: inputs.FileOption,
    facts: inputs.FactsOption = None,
    settings: inputs.SettingsOption = None,
    profiles: inputs.ProfilesOption = None,
) -> None:
    """Print the app's environment as dotenv, for a local run.

    The variables have the values that the app's pods get, but addresses point to this machine. A
    variable that comes from a Secret is printed as a comment with the Secret's name. No cluster is
    needed.

    Examples:
      fastapi-operator env -f service.yaml > .env

    Exit status:
      0  the environment is printed
      1  the service is invalid
      2  an input cannot be read, or the file has several services
    """
    known, ours = inputs.read_facts(facts), inputs.read_settings(settings, profiles)
    services = inputs.read_services(file)
    if len(services) > 1:
        inputs.fail(
            f"{inputs.display_name(file)}: {len(services)} services found; give a file with one"
        )
    (service,) = services
    plan = derive(service, ours, known)
    console.print_problems(service.metadata.name, plan.problems)
    for entry in environment(Inputs.of(service, plan, ours, known), Process.APP):
        name = entry["name"]
        if name in _LOCAL:
            typer.echo(f"{name}={_LOCAL[name]}")
        elif "value" in entry:
            typer.echo(f"{name}={entry['value']}")
        else:
            source = entry["valueFrom"].get("secretKeyRef") or entry["valueFrom"]
            typer.echo(f"# {name}: in the cluster, it comes from {source}")
