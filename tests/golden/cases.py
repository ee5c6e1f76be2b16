"""The golden cases: a directory each, with a service, its expected objects and optional inputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fastapi_operator.api.parse import load_services, parse_service
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Severity
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.stage import Stage
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan

CASES = tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/service.yaml")))
# Cases that assert every object whole; the others assert what their field changes.
WHOLE = ("minimal", "full")

WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob")


@dataclass(frozen=True)
class Case:
    """One case with the objects that are built for it."""

    name: str
    directory: Path
    service: FastAPIService
    settings: Settings
    plan: Plan
    objects: tuple[Desired, ...]
    stage: Stage | None = None

    def of_kind(self, kind: str) -> tuple[Desired, ...]:
        """Returns the objects of a kind, in order."""
        return tuple(item for item in self.objects if item.key.kind == kind)


def load(name: str) -> Case:
    """Reads and builds a case; fails if the service has an error."""
    directory = Path(__file__).parent / name
    (body,) = load_services((directory / "service.yaml").read_text())
    service, problems = parse_service(body)
    assert service is not None, problems
    settings = Settings.from_mapping(_optional(directory / "settings.yaml"))
    facts = Facts.from_mapping(_optional(directory / "facts.yaml") or {})
    plan = derive(service, settings, facts)
    errors = [problem for problem in plan.problems if problem.severity is Severity.ERROR]
    assert not errors, errors
    given = _optional(directory / "stage.yaml")
    stage = Stage(**given) if given else None
    objects = build(service, plan, settings, facts, stage)
    return Case(name, directory, service, settings, plan, objects, stage)


def templates(case: Case) -> Iterator[tuple[Desired, Mapping[str, Any]]]:
    """Yields each workload with its pod template."""
    for item in case.objects:
        if item.key.kind in WORKLOADS:
            spec = item.body["spec"]
            yield item, spec.get("jobTemplate", {}).get("spec", spec)["template"]


def documents_in(path: Path) -> Iterator[Any]:
    """Yields the documents of a YAML file; the parser in C is ten times as fast."""
    yield from yaml.load_all(path.read_text(), yaml.CSafeLoader)


def _optional(path: Path) -> Any:
    return next(documents_in(path), None) if path.exists() else None
