"""All alerts on causes; one set serves all services of a cluster.

Symptoms page a person: the error budget of a service (``slo``), a database that is down, a volume
that is almost full. An alert that names only a cause has the severity ``warning``. If one cause
explains another, only the first one fires.
"""

from typing import Any

from fastapi_operator.observability.alerts import app, canary, database, lifecycle, proxy, redis
from fastapi_operator.observability.alerts.alert import Alert

ALERTS: tuple[Alert, ...] = (
    *app.APP,
    *proxy.PROXY,
    *database.POOLER,
    *database.DATABASE,
    *database.STORAGE,
    *redis.CACHE,
    *canary.CANARY,
    *lifecycle.ROLLOUT,
    *lifecycle.OPERATOR,
)


def groups(runbooks: str) -> list[dict[str, Any]]:
    """The rule groups of all shared alerts.

    Args:
        runbooks: URL of the pages of docs/runbooks, without a slash at the end.
    """
    names = dict.fromkeys(alert.group for alert in ALERTS)
    return [
        {
            "name": f"fastapi-operator-{name}",
            "rules": [alert.rule(runbooks) for alert in ALERTS if alert.group == name],
        }
        for name in names
    ]
