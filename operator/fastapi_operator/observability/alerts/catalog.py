"""The alerts that name a cause, one set for all services of a cluster.

Who is woken is decided by symptoms: the error budget of a service (``slo``), a database that is
down, a volume that is about to be full. What names a cause alone has the severity ``warning``.
Where one cause explains another, the explained one stays silent.
"""

from typing import Any

from fastapi_operator.observability.alerts import app, database, lifecycle, proxy, redis
from fastapi_operator.observability.alerts.alert import Alert

ALERTS: tuple[Alert, ...] = (
    *app.APP,
    *proxy.PROXY,
    *database.POOLER,
    *database.DATABASE,
    *database.STORAGE,
    *redis.CACHE,
    *lifecycle.ROLLOUT,
    *lifecycle.OPERATOR,
)


def groups(runbooks: str) -> list[dict[str, Any]]:
    """The rule groups of all shared alerts.

    Args:
        runbooks: Where the pages of docs/runbooks are read, without a slash at the end.
    """
    names = dict.fromkeys(alert.group for alert in ALERTS)
    return [
        {
            "name": f"fastapi-operator-{name}",
            "rules": [alert.rule(runbooks) for alert in ALERTS if alert.group == name],
        }
        for name in names
    ]
