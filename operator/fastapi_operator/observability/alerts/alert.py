"""An alert as data: a query whose every series is one alert, and what people read of it."""

from dataclasses import dataclass
from typing import Any, Literal

from fastapi_operator.naming import SERVICE_SERIES_LABEL

# How a value stands in a summary; Prometheus fills it in.
PERCENT = "{{ $value | humanizePercentage }}"
SECONDS = "{{ $value | humanizeDuration }}"
NUMBER = "{{ $value | humanize }}"


@dataclass(frozen=True)
class Alert:
    """One alert.

    Attributes:
        name: Its name; the first word is always FastAPI.
        group: The part that it looks at; names its group of rules.
        expression: The query; each series is one alert, its value stands in the summary.
        held: For how long the expression must hold.
        summary: What is wrong, with its value, below the service's name.
        page: The page of docs/runbooks, without its suffix.
        severity: critical calls a person, warning waits for working hours.
    """

    name: str
    group: str
    expression: str
    held: str
    summary: str
    page: str
    severity: Literal["critical", "warning"] = "warning"

    def rule(self, runbooks: str) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        service = f"{{{{ $labels.{SERVICE_SERIES_LABEL} }}}}"
        of_service = self.group != "operator"
        where = f"{service} in {{{{ $labels.namespace }}}}: " if of_service else ""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.held,
            # The scrape's label is for queries; people route and silence by `service`.
            "labels": {"severity": self.severity, **({"service": service} if of_service else {})},
            "annotations": {
                "summary": where + self.summary,
                "runbook_url": f"{runbooks}/{self.page}.md",
            },
        }
