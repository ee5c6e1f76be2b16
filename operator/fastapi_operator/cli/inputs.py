"""Options and files that the commands share; an input that cannot be read ends the command."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import yaml
from pydantic import BaseModel, ValidationError

from fastapi_operator.api import schema_problems
from fastapi_operator.api.documents import Document, DocumentError, describe_error
from fastapi_operator.api.parse import find_services, parse_service
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.cli import console
from fastapi_operator.cli.completion import service_names
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Problem, Severity
from fastapi_operator.resources.prices import Prices
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.measurements import NOT_MEASURED, Measurements

_NOT_UTF_8 = "not UTF-8 text; save it as UTF-8"

FileOption = Annotated[
    str,
    typer.Option(
        "-f",
        "--file",
        help="YAML file with the FastAPIService; - is standard input.",
        metavar="FILE",
    ),
]
# For a command that takes a service from the cluster or from a file.
LiveNameArgument = Annotated[
    str | None,
    typer.Argument(
        help="Name of a FastAPIService in the cluster; or use -f.",
        metavar="NAME",
        autocompletion=service_names,
    ),
]
LiveFileOption = Annotated[
    str | None,
    typer.Option(
        "-f",
        "--file",
        help="YAML file with FastAPIServices; - is standard input.",
        metavar="FILE",
    ),
]
FactsOption = Annotated[
    Path | None,
    typer.Option(
        "--facts",
        help='YAML file that describes the cluster, for example {kubernetes: "1.35", apis: '
        "[monitoring.coreos.com/v1/ServiceMonitor], profiles: {default: production}, limitRanges: "
        "{default: [{type: Container, min: {cpu: 100m}}]}}. Default: no "
        "optional API and no profile.",
        metavar="FILE",
        dir_okay=False,
    ),
]
SettingsOption = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="YAML file with the operator's settings, as in its ConfigMap. Default: for a service "
        "in the cluster, the settings of its operator; else the built-in settings.",
        metavar="FILE",
        dir_okay=False,
    ),
]
ProfilesOption = Annotated[
    Path | None,
    typer.Option(
        "--profiles",
        help="YAML file with profiles by name, as the value profiles of the operator's chart. "
        "Default: the profiles of the settings, else the built-in production and development.",
        metavar="FILE",
        dir_okay=False,
    ),
]
MeasurementsOption = Annotated[
    Path | None,
    typer.Option(
        "--measurements",
        help="YAML or JSON file with measurements of the service, as measure -o yaml writes "
        "it; it replaces assumptions, and never a field of the spec. Default: none.",
        metavar="FILE",
        dir_okay=False,
    ),
]
PricesOption = Annotated[
    Path | None,
    typer.Option(
        "--prices",
        help="YAML file with prices; adds the cost per month. Fields: currency, cpuCoreMonth, "
        "memoryGibMonth, storageGibMonth.",
        metavar="FILE",
        dir_okay=False,
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "-n",
        "--namespace",
        help="Namespace. Default: that of the context.",
        metavar="NAME",
    ),
]
ContextOption = Annotated[
    str | None,
    typer.Option(
        "--context",
        help="Context of the kubeconfig. Default: the current one.",
        metavar="NAME",
    ),
]
KubeconfigOption = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig",
        help="Kubeconfig. Default: KUBECONFIG, else ~/.kube/config.",
        metavar="FILE",
    ),
]


def read_documents(file: str) -> tuple[Document, ...]:
    """Returns the FastAPIService documents of a file or of standard input."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        return find_services(text)
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{display_name(file)}: {_NOT_UTF_8}")
    except DocumentError as error:
        fail(f"{display_name(file)}: {error}")


def display_name(file: str) -> str:
    """Returns the name of a file for messages."""
    return "(standard input)" if file == "-" else file


def read_bodies(file: str) -> tuple[dict[str, Any], ...]:
    """Returns the bodies of the FastAPIService documents of a file or of standard input."""
    return tuple(document.body for document in read_documents(file))


def read_services(file: str) -> tuple[FastAPIService, ...]:
    """Returns the services of a file; if one is invalid, the command ends with status 1."""
    services = []
    failed = False
    for body in read_bodies(file):
        service, problems = parse_service(body)
        console.print_problems(name_of(body), problems)
        failed = failed or service is None
        if service is not None:
            services.append(service)
    if failed:
        raise typer.Exit(1)
    return tuple(services)


def require_one_source(name: str | None, file: str | None) -> None:
    """Ends the command unless either a live service or a file is given, and not both."""
    if name is not None and ("/" in name or Path(name).is_file()) and file is None:
        fail(f"{name} is not the name of a service; to read a file, use -f {name}")
    if (name is None) == (file is None):
        fail(
            "name either a service in the cluster or, with -f, a file, for example -f service.yaml"
        )


def read_facts(path: Path | None) -> Facts:
    """Returns the facts of a file, or those of a cluster without optional APIs."""
    if path is None:
        return Facts()
    try:
        return Facts.from_mapping(_mapping(path))
    except ValueError as error:
        fail(f"{path}: {error}")


def read_settings(path: Path | None, profiles: Path | None) -> Settings:
    """Returns the settings of a file, or the built-in ones; a profiles file overrides both."""
    settings = _settings(path, _mapping(path) if path is not None else {})
    return settings if profiles is None else with_profiles(settings, profiles)


def with_profiles(settings: Settings, profiles: Path) -> Settings:
    """Returns settings with the profiles of a file in addition."""
    names = _mapping(profiles)
    known = _settings(profiles, {"profiles": names}).profiles
    given = {name: known[name] for name in names}
    return settings.model_copy(update={"profiles": {**settings.profiles, **given}})


def read_prices(path: Path) -> Prices:
    """Returns the prices of a file."""
    try:
        return Prices.model_validate(_mapping(path))
    except ValidationError as error:
        fail(f"{path}: {_first_problem(Prices, error)}")


def read_measurements(
    path: Path | None, bodies: Iterable[dict[str, Any]]
) -> Callable[[dict[str, Any]], Measurements]:
    """Returns the measurements of a file by service, and prints which figures are not used.

    Args:
        path: The file, with one document for each service; None if there is none.
        bodies: The services, each of which may have at most one document.
    """
    if path is None:
        return lambda _: NOT_MEASURED
    known, found = list(bodies), dict[int, Measurements]()
    for document in _documents(path):
        try:
            measured = Measurements.from_mapping(document)
        except ValidationError as error:
            fail(f"{path}: {_first_problem(Measurements, error)}")
        of = [body for body in known if measured.is_of(*_identity(body))]
        if len(of) != 1 or id(of[0]) in found:
            names = ", ".join(name_of(body) for body in known)
            fail(
                f"{path}: service: {measured.service or '(not set)'} must name one of {names}, "
                "each once"
            )
        found[id(of[0])] = measured
    for body in known:
        for reason in found.get(id(body), NOT_MEASURED).unused():
            console.print_note(name_of(body), reason)
    return lambda body: found.get(id(body), NOT_MEASURED)


def _identity(body: dict[str, Any]) -> tuple[str, str]:
    metadata = body.get("metadata")
    namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
    return str(namespace or ""), name_of(body)


def _settings(path: Path | None, data: dict[str, Any]) -> Settings:
    try:
        return Settings.from_mapping(data)
    except ValidationError as error:
        fail(f"{path}: {_first_problem(Settings, error)}")


def _first_problem(model: type[BaseModel], error: ValidationError) -> str:
    """Returns the first error of a file with field, cause and remedy."""
    return str(schema_problems.problem("", model, error.errors()[0])).removeprefix(".")


def name_of(body: dict[str, Any]) -> str:
    """Returns the name of a service for messages; the service may be invalid."""
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return str(name or "(without a name)")


def has_errors(problems: tuple[Problem, ...]) -> bool:
    """Returns whether a problem prevents the service from being applied."""
    return any(problem.severity is Severity.ERROR for problem in problems)


def fail(message: str) -> NoReturn:
    """Prints an error and ends the command with exit status 2."""
    console.print_error(message)
    raise typer.Exit(2)


def _mapping(path: Path) -> dict[str, Any]:
    documents = _documents(path)
    if len(documents) > 1:
        fail(f"{path}: must have one document")
    data = documents[0] if documents else None
    if data is None:
        return {}
    if not isinstance(data, dict):
        fail(f"{path}: the top level must be a mapping")
    return data


def _documents(path: Path) -> list[Any]:
    try:
        return list(yaml.safe_load_all(path.read_text()))
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{path}: {_NOT_UTF_8}")
    except yaml.YAMLError as error:
        fail(f"{path}: not valid YAML: {describe_error(error)}")
