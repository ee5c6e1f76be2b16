"""``validate``: all problems of a service, before it is applied."""

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
from fastapi_operator.resources.build import build
from fastapi_operator.resources.checks import object_problems
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive


class Output(StrEnum):
    """Output formats of the result."""

    TEXT = "text"
    JSON = "json"


FilesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", help="YAML or JSON files; - is standard input."),
]
FilesOption = Annotated[
    list[str] | None,
    typer.Option(
        "-f",
        "--file",
        metavar="FILE",
        help="Another way to give a file, as for kubectl. Repeatable.",
    ),
]


def validate(
    files: FilesArgument = None,
    *,
    file: FilesOption = None,
    facts: inputs.FactsOption = None,
    settings: inputs.SettingsOption = None,
    profiles: inputs.ProfilesOption = None,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="Format: lines, or data for programs.")
    ] = Output.TEXT,
) -> None:
    """Check services against the schema, the rules and the plan.

    The API server checks the schema and the rules at kubectl apply. If the plan has an error, the
    operator sets the condition Stalled. No cluster is needed.

    Examples:
      fastapi-operator validate service.yaml
      kubectl kustomize . | fastapi-operator validate -

    Exit status:
      0  all services are valid; they may have warnings
      1  a service has an error
      2  a file cannot be read, or contains no FastAPIService
    """
    names = [*(files or ()), *(file or ())]
    if not names:
        inputs.fail("give at least one file, or - for standard input")
    known, ours = inputs.read_facts(facts), inputs.read_settings(settings, profiles)
    documents = [(name, document) for name in names for document in inputs.read_documents(name)]
    results = [_check(name, document, ours, known) for name, document in documents]
    if output is Output.JSON:
        console.print_json({"services": [result.record() for result in results]})
    else:
        for result in results:
            result.print()
    if any(not result.valid for result in results):
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Result:
    """The problems of one service."""

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
        for problem, line in self._with_lines():
            place = f"{self._file}:{line}" if line else self._file
            console.print_problems(f"{place}: {self.service}", [problem])
        if self.valid:
            typer.echo(f"{self.service}: valid")

    def record(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "file": self._file,
            "valid": self.valid,
            "problems": [asdict(problem) | {"line": line} for problem, line in self._with_lines()],
        }

    def _with_lines(self) -> Iterator[tuple[Problem, int | None]]:
        for problem in self.problems:
            yield problem, self.document.line(problem.path)

    @property
    def _file(self) -> str:
        return inputs.display_name(self.file)


def _check(file: str, document: Document, settings: Settings, facts: Facts) -> _Result:
    return _Result(file, document, find_problems(document.body, settings, facts))


def find_problems(body: dict[str, Any], settings: Settings, facts: Facts) -> tuple[Problem, ...]:
    """Returns the problems of a service from all three stages."""
    service, problems = parse_service(body)
    if service is None:
        return problems
    plan = derive(service, settings, facts)
    problems = (*problems, *plan.problems)
    if inputs.has_errors(problems):
        return problems
    objects = build(service, plan, settings, facts)
    return (*problems, *object_problems(Inputs.of(service, plan, settings, facts), objects))
