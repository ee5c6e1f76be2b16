"""Reads what the commands are given: services, settings and facts; a mistake ends the command."""

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import yaml
from pydantic import ValidationError

from fastapi_operator.api.documents import Document, DocumentError
from fastapi_operator.api.parse import find_services, parse_service
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.cli import console
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Problem, Severity
from fastapi_operator.resources.prices import Prices
from fastapi_operator.settings import Settings

FileOption = Annotated[
    str,
    typer.Option(
        "-f", "--file", help="The service's YAML; - reads standard input.", metavar="FILE"
    ),
]
# Of a command that takes a service of the cluster or one of a file.
LiveNameArgument = Annotated[
    str | None, typer.Argument(help="A FastAPIService of the cluster.", metavar="[NAME]")
]
LiveFileOption = Annotated[
    str | None,
    typer.Option("-f", "--file", help="A service's YAML; - reads standard input."),
]
FactsOption = Annotated[
    Path | None,
    typer.Option(
        "--facts",
        help='What the cluster offers: {kubernetes: "1.35", apis: [group/version/Kind], '
        "profiles: {namespace: profile}}. Default: no optional API, no profile.",
        metavar="FILE",
        dir_okay=False,
    ),
]
SettingsOption = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="The operator's settings, as its chart mounts them. Default: the built-in ones.",
        metavar="FILE",
        dir_okay=False,
    ),
]
ProfilesOption = Annotated[
    Path | None,
    typer.Option(
        "--profiles",
        help="Profiles by name, as the value profiles of the operator's chart. Default: those "
        "of the settings, else production and development as they are shipped.",
        metavar="FILE",
        dir_okay=False,
    ),
]


def read_documents(file: str) -> tuple[Document, ...]:
    """The FastAPIService documents of a file or of standard input."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        return find_services(text)
    except OSError as error:
        stop(f"{file}: {error.strerror}")
    except (DocumentError, UnicodeDecodeError) as error:
        stop(f"{file}: {error}")


PricesOption = Annotated[
    Path | None,
    typer.Option(
        "--prices",
        help="Adds a month's cost. YAML: currency, cpuCoreMonth, memoryGibMonth, storageGibMonth.",
        metavar="FILE",
        dir_okay=False,
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option("-n", "--namespace", help="Namespace. Default: the context's.", metavar="NAME"),
]
ContextOption = Annotated[
    str | None,
    typer.Option(help="Context of the kubeconfig. Default: the current one.", metavar="NAME"),
]
KubeconfigOption = Annotated[
    str | None,
    typer.Option(help="Kubeconfig. Default: KUBECONFIG, else ~/.kube/config.", metavar="FILE"),
]


def read_bodies(file: str) -> tuple[dict[str, Any], ...]:
    """The bodies of ``read_documents``."""
    return tuple(document.body for document in read_documents(file))


def read_services(file: str) -> tuple[FastAPIService, ...]:
    """The valid services of a file; errors of any of them end the command with status 1."""
    services = []
    failed = False
    for body in read_bodies(file):
        service, problems = parse_service(body)
        console.problems(name_of(body), problems)
        failed = failed or service is None
        if service is not None:
            services.append(service)
    if failed:
        raise typer.Exit(1)
    return tuple(services)


def need_one_source(name: str | None, file: str | None) -> None:
    """Ends the command unless exactly one of a live service and a file was given."""
    if (name is None) == (file is None):
        stop("give either the NAME of a service or -f FILE")


def read_facts(path: Path | None) -> Facts:
    """Facts from a file, or those of a cluster without optional APIs."""
    if path is None:
        return Facts()
    try:
        return Facts.from_mapping(_mapping(path))
    except ValueError as error:
        stop(f"{path}: {error}")


def read_settings(path: Path | None, profiles: Path | None) -> Settings:
    """Settings from a file, or the built-in ones; profiles from a file of their own come first."""
    settings = _settings(path, _mapping(path) if path is not None else {})
    if profiles is None:
        return settings
    names = _mapping(profiles)
    known = _settings(profiles, {"profiles": names}).profiles
    given = {name: known[name] for name in names}
    return settings.model_copy(update={"profiles": {**settings.profiles, **given}})


def read_prices(path: Path) -> Prices:
    """What cores and GiB cost in a month."""
    try:
        return Prices.model_validate(_mapping(path))
    except ValidationError as error:
        stop(f"{path}: {_first(error)}")


def _settings(path: Path | None, data: dict[str, Any]) -> Settings:
    try:
        return Settings.from_mapping(data)
    except ValidationError as error:
        stop(f"{path}: {_first(error)}")


def _first(error: ValidationError) -> str:
    """The first thing that a file gets wrong, with its field."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"


def name_of(body: dict[str, Any]) -> str:
    """The name under which messages speak of a service that may not even be valid."""
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return str(name or "(without a name)")


def has_errors(problems: tuple[Problem, ...]) -> bool:
    """Whether one of the problems keeps the service from being applied."""
    return any(problem.severity is Severity.ERROR for problem in problems)


def stop(message: str) -> NoReturn:
    """Ends the command: the input could not be read (exit status 2)."""
    console.error(message)
    raise typer.Exit(2)


def _mapping(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        stop(f"{path}: {error.strerror}")
    except yaml.YAMLError as error:
        stop(f"{path}: not YAML: {error}")
    if data is None:
        return {}
    if not isinstance(data, dict):
        stop(f"{path}: must hold a mapping, found {type(data).__name__}")
    return data
