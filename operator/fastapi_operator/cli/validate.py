"""``validate``: everything that is wrong with a service, before any cluster sees it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from fastapi_operator.api.documents import Document
from fastapi_operator.api.parse import parse_service
from fastapi_operator.cli import console, inputs
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Problem
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive


class Output(StrEnum):
    """Forms of the answer."""

    TEXT = "text"
    JSON = "json"


FilesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", help="YAML or JSON files; - reads standard input."),
]
FilesOption = Annotated[
    list[str] | None,
    typer.Option("-f", "--file", metavar="FILE", help="The same, as kubectl takes it; repeatable."),
]


def validate(
    files: FilesArgument = None,
    *,
    file: FilesOption = None,
    facts: inputs.FactsOption = None,
    settings: inputs.SettingsOption = None,
    profiles: inputs.ProfilesOption = None,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="Lines for people, or data for machines.")
    ] = Output.TEXT,
) -> None:
    """Check services by schema, rules and plan.

    The first two stages are what the API server checks at kubectl apply; the third is what the
    operator would answer in status as Stalled. Exit status 1: a service has an error. 2: a file
    cannot be read, or holds no service.
    """
    names = [*(files or ()), *(file or ())]
    if not names:
        inputs.stop("name at least one file, or - for standard input")
    known, ours = inputs.read_facts(facts), inputs.read_settings(settings, profiles)
    documents = [(name, document) for name in names for document in inputs.read_documents(name)]
    verdicts = [_judged(name, document, ours, known) for name, document in documents]
    if output is Output.JSON:
        typer.echo(json.dumps({"services": [verdict.as_data() for verdict in verdicts]}, indent=2))
    else:
        for verdict in verdicts:
            verdict.print()
    if any(not verdict.valid for verdict in verdicts):
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Verdict:
    """What was found of one service."""

    file: str
    document: Document
    problems: tuple[Problem, ...]

    @property
    def service(self) -> str:
        return inputs.name_of(self.document.body)

    @property
    def valid(self) -> bool:
        return not inputs.has_errors(self.problems)

    def print(self) -> None:
        for problem, line in self._lined():
            place = f"{self._file()}:{line}" if line else self._file()
            console.problems(f"{place}: {self.service}", [problem])
        if self.valid:
            typer.echo(f"{self.service}: valid")

    def as_data(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "file": self._file(),
            "valid": self.valid,
            "problems": [asdict(problem) | {"line": line} for problem, line in self._lined()],
        }

    def _lined(self) -> Iterator[tuple[Problem, int | None]]:
        for problem in self.problems:
            yield problem, self.document.line(problem.path)

    def _file(self) -> str:
        return "(standard input)" if self.file == "-" else self.file


def _judged(file: str, document: Document, settings: Settings, facts: Facts) -> _Verdict:
    service, problems = parse_service(document.body)
    if service is not None:
        problems = (*problems, *derive(service, settings, facts).problems)
    return _Verdict(file, document, problems)
