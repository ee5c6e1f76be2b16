"""``env``: the tuned environment of a service as dotenv."""

import typer

from fastapi_operator.cli import console, inputs
from fastapi_operator.resources.environment import Process, environment
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning.derive import derive

_LAPTOP = {
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
    """Print the environment that the app gets, for running it on a laptop.

    Addresses point to this machine; what stands in a Secret is a comment that names it.
    """
    known, ours = inputs.read_facts(facts), inputs.read_settings(settings, profiles)
    services = inputs.read_services(file)
    if len(services) > 1:
        inputs.stop(f"{file}: holds {len(services)} services; an environment is that of one")
    (service,) = services
    plan = derive(service, ours, known)
    console.problems(service.metadata.name, plan.problems)
    for entry in environment(Inputs.of(service, plan, ours, known), Process.APP):
        name = entry["name"]
        if name in _LAPTOP:
            typer.echo(f"{name}={_LAPTOP[name]}")
        elif "value" in entry:
            typer.echo(f"{name}={entry['value']}")
        else:
            source = entry["valueFrom"].get("secretKeyRef") or entry["valueFrom"]
            typer.echo(f"# {name}: in the cluster from {source}")
