"""The sections on alerts and on the rules of ``doctor``, in docs/observability.md and runbooks."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

from fastapi_operator.observability import slo
from fastapi_operator.observability.alerts.alert import Alert
from fastapi_operator.observability.alerts.catalog import ALERTS
from fastapi_operator.observability.diagnoses.rules import RULES
from fastapi_operator.observability.units import interval
from manifests.generate import sections

_GUIDE = "docs/observability.md"
_RUNBOOKS = "docs/runbooks"
_ALERTS = "observability/alerts"
_RULES = "observability/diagnoses"
_SLO = "observability/slo.py"
_GROUPS = {
    "app": "app",
    "proxy": "proxy",
    "pooler": "PgBouncer",
    "database": "PostgreSQL",
    "storage": "volumes and backups",
    "cache": "cache",
    "queue": "queue",
    "rollout": "autoscaling, rollouts, parts",
    "operator": "operator",
}


def files(root: Path) -> Mapping[str, str]:
    """The pages with their sections, by path below the repository."""
    guide = (root / _GUIDE).read_text()
    guide = sections.replaced(guide, _ALERTS, _alerts())
    guide = sections.replaced(guide, _RULES, _rules())
    burn = f"{_RUNBOOKS}/{slo.PAGE}.md"
    return {
        _GUIDE: guide,
        burn: sections.replaced((root / burn).read_text(), _SLO, _burns()),
        **{page: _runbook(root, page, alerts) for page, alerts in _by_page().items()},
    }


def _by_page() -> Mapping[str, list[Alert]]:
    pages: dict[str, list[Alert]] = {}
    for alert in ALERTS:
        pages.setdefault(f"{_RUNBOOKS}/{alert.page}.md", []).append(alert)
    return pages


def _runbook(root: Path, page: str, alerts: list[Alert]) -> str:
    meaning = "\n\n".join(_meaning(alert) for alert in alerts)
    return sections.replaced((root / page).read_text(), _ALERTS, meaning)


def _meaning(alert: Alert) -> str:
    held = "" if alert.held == "0m" else f", for {interval(alert.held)},"
    sentence = f"`{alert.name}` ({alert.severity}) fires if{held} {alert.condition}."
    return textwrap.fill(sentence, 100, break_long_words=False, break_on_hyphens=False)


def _alerts() -> str:
    rows = [
        f"| {_GROUPS[alert.group]} | [{alert.name}](runbooks/{alert.page}.md) | {alert.severity} "
        f"| {alert.condition} | {'' if alert.held == '0m' else interval(alert.held)} |"
        for alert in ALERTS
    ]
    return "\n".join(
        (
            "| part | alert | severity | fires if | for |",
            "| --- | --- | --- | --- | --- |",
            *rows,
        )
    )


def _rules() -> str:
    rows = [f"| `{rule.name}` | {rule.condition} | {rule.remedy} |" for rule in RULES]
    return "\n".join(("| rule | signals | remedy |", "| --- | --- | --- |", *rows))


def _burns() -> str:
    rows = [
        f"| {burn.severity} | {burn.long} | {burn.short} | {burn.rate} | {burn.spent} |"
        for burn in slo.BURNS
    ]
    return "\n".join(
        (
            "| severity | window | short window | burn rate | spent of a month's budget |",
            "| --- | --- | --- | --- | --- |",
            *rows,
        )
    )
