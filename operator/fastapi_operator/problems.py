"""Errors and warnings about a service, each with a remedy."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error prevents the service from being applied; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Stage(StrEnum):
    """The validation that found a problem: the OpenAPI schema, a CEL rule, or the plan."""

    SCHEMA = "schema"
    RULE = "rule"
    PLAN = "plan"


@dataclass(frozen=True)
class Problem:
    """One problem of a service.

    Attributes:
        severity: Whether the problem prevents the service from being applied.
        stage: The validation that found it.
        path: Path of the field, for example ``spec.server.workers``.
        message: The problem, with the value.
        remedy: How to fix it; empty if the message includes it.
    """

    severity: Severity
    stage: Stage
    path: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.path}: {self.message}{remedy}"


class MissingApi(Problem):
    """An optional API that the cluster does not serve; its definition may arrive at any time."""


def missing_api(path: str, api: str, remedy: str) -> MissingApi:
    """Returns the error of a field that needs an API, as ``group/version/Kind``."""
    return MissingApi(
        severity=Severity.ERROR,
        stage=Stage.PLAN,
        path=path,
        message=f"the cluster does not serve {api}",
        remedy=remedy,
    )
