"""What is wrong with a service, said so that its owner can mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error stops the service from being applied; a warning is shown and lived with."""

    ERROR = "error"
    WARNING = "warning"


class Stage(StrEnum):
    """Where a problem was found: the OpenAPI schema, a CEL rule, or the plan itself."""

    SCHEMA = "schema"
    RULE = "rule"
    PLAN = "plan"


@dataclass(frozen=True)
class Problem:
    """One finding about a service.

    Attributes:
        severity: Whether the service can be applied all the same.
        stage: Which of the three validations found it.
        path: The field, as a user would write it: ``spec.server.workers``.
        message: What is wrong, with the value found.
        remedy: What to write instead; empty where the message already says it.
    """

    severity: Severity
    stage: Stage
    path: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.path}: {self.message}{remedy}"
