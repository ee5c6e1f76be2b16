"""Rules on a service's promise: what share of it is broken, and alerts while its budget burns.

Each alert looks at two windows: the long one says that enough was lost to matter, the short one
that it still goes on (multi-window, multi-burn-rate; Site Reliability Workbook, chapter 5).
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
# What counts and times requests, by who does; both have the same bounds and labels.
_REQUESTS = {
    "app": "http_server_request_duration_seconds",
    "proxy": "fastapi_proxy_request_duration_seconds",
}
_TOTAL = "fastapi_service:requests:rate5m"


@dataclass(frozen=True)
class Burn:
    """One pair of windows.

    Attributes:
        rate: How many times faster than the promise allows the budget is used up.
        long: The window that shows how much was lost.
        short: The window that shows that it goes on.
        severity: critical calls a person, warning waits for working hours.
        spent: Share of a month's budget that is gone when the alert fires.
    """

    rate: Decimal
    long: str
    short: str
    severity: str
    spent: str


BURNS = (
    Burn(Decimal("14.4"), "1h", "5m", "critical", "2 %"),
    Burn(Decimal(6), "6h", "30m", "critical", "5 %"),
    Burn(Decimal(3), "1d", "2h", "warning", "10 %"),
    Burn(Decimal(1), "3d", "6h", "warning", "10 %"),
)
# How often the rules are evaluated: what a sum over samples of a rate is multiplied by.
_INTERVAL_SECONDS = 60


@dataclass(frozen=True)
class Promise:
    """One promise of a service.

    Attributes:
        slo: Its short name, a label of its series.
        alert: The name of its alerts.
        broken: The requests that break it, each second, as a query over five minutes.
        percent: The share of requests that keep it.
        what: What a request that breaks it did, for the summary.
    """

    slo: str
    alert: str
    broken: str
    percent: Decimal
    what: str

    @property
    def budget(self) -> Decimal:
        """The share of requests that may break it."""
        return (100 - self.percent) / 100


def groups(
    namespace: str, service: str, plan: ObservabilityPlan, *, runbooks: str
) -> list[dict[str, Any]]:
    """The rule groups of a service; none where it promises nothing, or nobody measures it.

    Args:
        namespace: The service's namespace.
        service: Its name.
        plan: What it promises.
        runbooks: Where the pages of docs/runbooks are read, without a slash at the end.
    """
    labels = {"namespace": namespace, "service": service}
    requests = _REQUESTS.get(plan.slo_measured_by.value) if plan.slo_measured_by else None
    if requests is None:
        return []
    promises = tuple(_promises(namespace, service, plan, requests))
    selected = _selected(namespace, service)
    total = {
        "record": _TOTAL,
        "expr": f"sum(rate({requests}_count{{{selected}}}[5m]))",
        "labels": labels,
    }
    records = [total]
    for promise in promises:
        records += _records(promise, labels)
    alerts = [
        _alert(promise, burn, labels, f"{runbooks}/{PAGE}.md")
        for promise in promises
        for burn in BURNS
        # A budget so large that the whole traffic cannot burn it so fast needs no such alert.
        if burn.rate * promise.budget < 1
    ]
    return [
        {
            "name": f"{namespace}-{service}-slo",
            "interval": f"{_INTERVAL_SECONDS}s",
            # In this order: an alert reads what was recorded above it in the same round.
            "rules": [*records, *alerts],
        }
    ]


def _promises(
    namespace: str, service: str, plan: ObservabilityPlan, requests: str
) -> Iterator[Promise]:
    selected = _selected(namespace, service)
    if plan.availability_percent is not None:
        failed = f'{requests}_count{{{selected}, http_response_status_code=~"5.."}}'
        yield Promise(
            slo="availability",
            alert="FastAPIServiceErrorBudgetBurn",
            # Without a failure there is no series: nought, where there are requests.
            broken=f"sum(rate({failed}[5m])) or 0 * sum({_TOTAL}{_matching(namespace, service)})",
            percent=Decimal(plan.availability_percent.value),
            what="failed with a server error",
        )
    if plan.latency_milliseconds is not None and plan.latency_percent is not None:
        bound = plan.latency_milliseconds.value
        within = f"{requests}_bucket{{{selected}, {_le(bound)}}}"
        yield Promise(
            slo="latency",
            alert="FastAPIServiceLatencyBudgetBurn",
            broken=f"sum({_TOTAL}{_matching(namespace, service)}) - sum(rate({within}[5m]))",
            percent=Decimal(plan.latency_percent.value),
            what=f"took longer than {bound} ms",
        )


def _records(promise: Promise, labels: dict[str, str]) -> Iterator[dict[str, Any]]:
    own = labels | {"slo": promise.slo}
    broken, total = _broken(own), f"{_TOTAL}{_matching(labels['namespace'], labels['service'])}"
    yield {"record": "fastapi_service:broken:rate5m", "expr": promise.broken, "labels": own}
    for window in WINDOWS:
        yield {
            "record": f"fastapi_service:broken:ratio_rate{window}",
            "expr": f"sum(sum_over_time({broken}[{window}])) / "
            f"sum(sum_over_time({total}[{window}]))",
            "labels": own,
        }


def _alert(promise: Promise, burn: Burn, labels: dict[str, str], runbook: str) -> dict[str, Any]:
    own = labels | {"slo": promise.slo}
    chosen = ", ".join(f'{name}="{value}"' for name, value in own.items())
    limit = f"{(burn.rate * promise.budget).normalize():f}"
    series = "fastapi_service:broken:ratio_rate"
    failures = f"sum(sum_over_time({_broken(own)}[{burn.long}])) * {_INTERVAL_SECONDS}"
    return {
        "alert": promise.alert,
        "expr": f"{series}{burn.long}{{{chosen}}} > {limit}\n"
        f"and {series}{burn.short}{{{chosen}}} > {limit}\n"
        f"and on () {failures} >= {figures.SLO_FAILURES_MIN}",
        "labels": own | {"severity": burn.severity, "window": burn.long},
        "annotations": {
            "summary": f"{labels['service']} in {labels['namespace']}: "
            f"{{{{ $value | humanizePercentage }}}} of the requests of {burn.long} {promise.what}, "
            f"{(100 - promise.percent).normalize():f} % may",
            "description": f"{promise.percent} % are promised, and the budget for the rest is used "
            f"up at {burn.rate} times the rate at which it lasts a month: {burn.spent} of it is "
            f"gone, and it goes on (last {burn.short}).",
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
