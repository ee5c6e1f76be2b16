"""``env``: the environment of the app as dotenv."""

from collections.abc import Mapping
from typing import Any

import typer

from fastapi_operator.api.service import Spec
from fastapi_operator.cli import console, inputs
from fastapi_operator.resources.connections import contract_name, drivers, own_names
from fastapi_operator.resources.environment import environment
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.variable import Process
from fastapi_operator.tuning.derive import derive

_HOST = "127.0.0.1"
# PostgreSQL and Redis as packages install them: without a password for local clients.
_DATABASE = {
    "HOST": _HOST,
    "PORT": "5432",
    "NAME": "app",
    "USERNAME": "postgres",
    "PASSWORD": "",
    "URL": f"postgresql://postgres@{_HOST}:5432/app",
}
_REDIS = {
    "HOST": _HOST,
    "PORT": "6379",
    "NAME": "0",
    "USERNAME": "",
    "PASSWORD": "",
    "URL": f"redis://{_HOST}:6379/0",
}
# They describe the user of a pod.
_OF_A_POD = frozenset({"HOME", "USER"})
_LOCAL = {
    **{
        f"{prefix}_{name}": value
        for prefix, values in (
            ("DATABASE", _DATABASE),
            ("DATABASE_DIRECT", _DATABASE),
            ("REDIS", _REDIS),
            ("QUEUE", _REDIS),
        )
        for name, value in values.items()
    },
    "UVICORN_HOST": _HOST,
    "GRANIAN_HOST": _HOST,
}


def env(
    file: inputs.FileOption,
    facts: inputs.FactsOption = None,
    settings: inputs.SettingsOption = None,
    profiles: inputs.ProfilesOption = None,
) -> None:
    """Print the app's environment as dotenv, for a local run.

    The variables have the values that the app's pods get, but addresses point to this machine, also
    under the names of spec.connections. Another variable that comes from a Secret is printed as a
    comment with the Secret's name. No cluster is needed.

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
    local = _local_values(plan.spec)
    for entry in environment(Inputs.of(service, plan, ours, known), Process.APP):
        name = entry["name"]
        if name in _OF_A_POD:
            continue
        if name in local:
            typer.echo(f"{name}={local[name]}")
        elif "value" in entry:
            typer.echo(f"{name}={entry['value']}")
        else:
            typer.echo(f"# {name}: in the cluster, it comes from {_source(entry['valueFrom'])}")


def _source(value_from: Mapping[str, Any]) -> str:
    """Returns the place of a value, for example ``the Secret shop-secrets, key API_KEY``."""
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if field in value_from:
            return f"the {kind} {value_from[field]['name']}, key {value_from[field]['key']}"
    field, reference = next(iter(value_from.items()))
    place = reference.get("fieldPath") or reference.get("resource") or field
    return f"the field {place} of the pod"


def _local_values(spec: Spec) -> dict[str, str]:
    """Returns the values on this machine; a variable that the user sets keeps the user's."""
    local = dict(_LOCAL)
    for variable, driver in drivers(spec).items():
        local[variable] = local[variable].replace("postgresql:", f"postgresql+{driver}:")
    for section, name, source in own_names(spec):
        value = local.get(contract_name(section, source))
        if value is not None:
            local[name] = value
    theirs = {str(entry.get("name")) for entry in spec.env or ()}
    return {name: value for name, value in local.items() if name not in theirs}
