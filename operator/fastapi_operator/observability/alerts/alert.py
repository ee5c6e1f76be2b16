"""An alert as data: a query that returns one series per alert, and its texts."""

from dataclasses import dataclass
from typing import Any, Literal

from fastapi_operator.naming import SERVICE_SERIES_LABEL

# The value in a summary; Prometheus fills it in.
PERCENT = "{{ $value | humanizePercentage }}"
SECONDS = "{{ $value | humanizeDuration }}"
NUMBER = "{{ $value | humanize }}"


@dataclass(frozen=True)
class Alert:
    """One alert.

    Attributes:
        name: Its name, which always begins with FastAPI.
        group: The part of the service that it is about, and the name of its rule group.
        condition: The expression in words, for the documentation: "the cache ...".
        expression: The query. Each series is one alert, and its value is in the summary.
        held: How long the expression must hold, in Prometheus' notation.
        summary: The problem with its value. The service's name precedes it.
        page: The page of docs/runbooks, without its suffix.
        severity: critical pages a person; warning can wait for working hours.
    """

    name: str
    group: str
    condition: str
    expression: str
    held: str
    summary: str
    page: str
    severity: Literal["critical", "warning"] = "warning"

    def rule(self, runbooks: str) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        service = f"{{{{ $labels.{SERVICE_SERIES_LABEL} }}}}"
        is_of_service = self.group != "operator"
        prefix = f"{service} in {{{{ $labels.namespace }}}}: " if is_of_service else ""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.held,
            # Queries use the label of the scrape; people route and silence by `service`.
            "labels": {
                "severity": self.severity,
                **({"service": service} if is_of_service else {}),
            },
            "annotations": {
                "summary": prefix + self.summary,
                "runbook_url": f"{runbooks}/{self.page}.md",
            },
        }
