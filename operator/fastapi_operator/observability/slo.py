"""Rules on a service's SLO: the share of requests that violate it, and burn-rate alerts.

Each alert has two windows: the long one shows that a relevant part of the error budget is spent,
the short one that spending continues (multi-window, multi-burn-rate; Site Reliability Workbook,
chapter 5).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fastapi_operator.naming import SERVICE_SERIES_LABEL
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import ObservabilityPlan

# The page of docs/runbooks.
PAGE = "slo-burn"
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
# The metrics of requests, by the part that measures them; both have the same bounds and labels.
_REQUESTS = {
    "app": "http_server_request_duration_seconds",
    "proxy": "fastapi_proxy_request_duration_seconds",
}
_TOTAL = "fastapi_service:requests:rate5m"


@dataclass(frozen=True)
class Burn:
    """One pair of windows.

    Attributes:
        rate: The burn rate: how many times faster than permitted the error budget is spent.
        long: The window that shows how much is spent.
        short: The window that shows that spending continues.
        severity: critical pages a person; warning can wait for working hours.
        spent: The share of a month's error budget that is spent when the alert fires.
    """

    rate: Decimal
    long: str
    short: str
    severity: str
    spent: str


BURNS = (
    Burn(figures.SLO_PAGE_RATE, "1h", "5m", "critical", "2 %"),
    Burn(Decimal(6), "6h", "30m", "critical", "5 %"),
    Burn(Decimal(3), "1d", "2h", "warning", "10 %"),
    Burn(Decimal(1), "3d", "6h", "warning", "10 %"),
)
# The evaluation interval of the rules, by which a sum over samples of a rate is multiplied.
_INTERVAL_SECONDS = 60


@dataclass(frozen=True)
class Objective:
    """One objective of a service.

    Attributes:
        slo: Its short name, a label of its series.
        alert: The name of its alerts.
        violations: The rate of requests that violate it, as a query over five minutes.
        percent: The share of requests that meet it.
        description: How a request violates it, for the summary.
    """

    slo: str
    alert: str
    violations: str
    percent: Decimal
    description: str

    @property
    def budget(self) -> Decimal:
        """The share of requests that may violate it."""
        return (100 - self.percent) / 100


def groups(
    namespace: str, service: str, plan: ObservabilityPlan, *, runbooks: str
) -> list[dict[str, Any]]:
    """Returns the rule groups of a service; none if it has no SLO, or no part measures it.

    Args:
        namespace: The service's namespace.
        service: Its name.
        plan: Its objectives.
        runbooks: URL of the pages of docs/runbooks, without a slash at the end.
    """
    labels = {"namespace": namespace, "service": service}
    requests = _REQUESTS.get(plan.slo_measured_by.value) if plan.slo_measured_by else None
    if requests is None:
        return []
    objectives = tuple(_objectives(namespace, service, plan, requests))
    selected = _selected(namespace, service)
    total = {
        "record": _TOTAL,
        "expr": f"sum(rate({requests}_count{{{selected}}}[5m]))",
        "labels": labels,
    }
    records = [total]
    for objective in objectives:
        records += _records(objective, labels)
    alerts = [
        _alert(objective, burn, labels, f"{runbooks}/{PAGE}.md")
        for objective in objectives
        for burn in BURNS
        # If even failing all requests cannot spend the budget so fast, the alert cannot fire.
        if burn.rate * objective.budget < 1
    ]
    return [
        {
            "name": f"{namespace}-{service}-slo",
            "interval": f"{_INTERVAL_SECONDS}s",
            # The order matters: an alert reads records of the same evaluation.
            "rules": [*records, *alerts],
        }
    ]


def _objectives(
    namespace: str, service: str, plan: ObservabilityPlan, requests: str
) -> Iterator[Objective]:
    selected = _selected(namespace, service)
    if plan.availability_percent is not None:
        failed = f'{requests}_count{{{selected}, http_response_status_code=~"5.."}}'
        yield Objective(
            slo="availability",
            alert="FastAPIServiceErrorBudgetBurn",
            # Without a failure there is no series: use zero if there are requests.
            violations=f"sum(rate({failed}[5m])) or 0 * "
            f"sum({_TOTAL}{_matching(namespace, service)})",
            percent=Decimal(plan.availability_percent.value),
            description="failed with a server error",
        )
    if plan.latency_milliseconds is not None and plan.latency_percent is not None:
        bound = plan.latency_milliseconds.value
        within = f"{requests}_bucket{{{selected}, {_le(bound)}}}"
        yield Objective(
            slo="latency",
            alert="FastAPIServiceLatencyBudgetBurn",
            violations=f"sum({_TOTAL}{_matching(namespace, service)}) - sum(rate({within}[5m]))",
            percent=Decimal(plan.latency_percent.value),
            description=f"took longer than {bound} ms",
        )


def _records(objective: Objective, labels: dict[str, str]) -> Iterator[dict[str, Any]]:
    own = labels | {"slo": objective.slo}
    broken, total = _broken(own), f"{_TOTAL}{_matching(labels['namespace'], labels['service'])}"
    yield {"record": "fastapi_service:broken:rate5m", "expr": objective.violations, "labels": own}
    for window in WINDOWS:
        yield {
            "record": f"fastapi_service:broken:ratio_rate{window}",
            "expr": f"sum(sum_over_time({broken}[{window}])) / "
            f"sum(sum_over_time({total}[{window}]))",
            "labels": own,
        }


def _alert(
    objective: Objective, burn: Burn, labels: dict[str, str], runbook: str
) -> dict[str, Any]:
    own = labels | {"slo": objective.slo}
    chosen = ", ".join(f'{name}="{value}"' for name, value in own.items())
    limit = f"{(burn.rate * objective.budget).normalize():f}"
    series = "fastapi_service:broken:ratio_rate"
    failures = f"sum(sum_over_time({_broken(own)}[{burn.long}])) * {_INTERVAL_SECONDS}"
    return {
        "alert": objective.alert,
        "expr": f"{series}{burn.long}{{{chosen}}} > {limit}\n"
        f"and {series}{burn.short}{{{chosen}}} > {limit}\n"
        f"and on () {failures} >= {figures.SLO_FAILURES_MIN}",
        "labels": own | {"severity": burn.severity, "window": burn.long},
        "annotations": {
            "summary": f"{labels['service']} in {labels['namespace']}: "
            f"{{{{ $value | humanizePercentage }}}} of the requests within {burn.long} "
            f"{objective.description}; {(100 - objective.percent).normalize():f} % are permitted",
            "description": f"The objective is {objective.percent} %. The error budget is being "
            f"spent {burn.rate} times as fast as it may be to last a month: {burn.spent} of it is "
            f"spent, and spending continues (last {burn.short}).",
            "runbook_url": runbook,
        },
    }


def _selected(namespace: str, service: str) -> str:
    return f'namespace="{namespace}", {SERVICE_SERIES_LABEL}="{service}"'


def _matching(namespace: str, service: str) -> str:
    return f'{{namespace="{namespace}", service="{service}"}}'


def _broken(own: dict[str, str]) -> str:
    chosen = ", ".join(f'{name}="{value}"' for name, value in own.items())
    return f"fastapi_service:broken:rate5m{{{chosen}}}"


def _le(milliseconds: int) -> str:
    """A bound of the histogram; scrapers write whole seconds as 1 or 1.0."""
    seconds = f"{Decimal(milliseconds) / 1000:f}"
    return f'le="{seconds}"' if "." in seconds else f'le=~"{seconds}([.]0)?"'
