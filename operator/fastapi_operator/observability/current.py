"""The load of a service at this moment, from the last readings of its pods."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fastapi_operator.observability.metrics import IN_FLIGHT
from fastapi_operator.observability.readings import REQUESTS
from fastapi_operator.observability.samples import NOTHING, Window
from fastapi_operator.parts import Part

_STATUS = "http_response_status_code"
_LIMIT = "fastapi_worker_in_flight_limit"
_SHED = "fastapi_worker_shed_requests_total"
_POOL_USED, _POOL_SIZE = "db_client_connection_count", "db_client_connection_max"
_SERVERS = "pgbouncer_pools_server_active_connections"
_WAITING = "pgbouncer_pools_client_waiting_connections"
_ACTIVITY = "pg_stat_activity_count"


@dataclass(frozen=True)
class Traffic:
    """The requests of the app's pods; rates are per second, means over the last readings.

    Attributes:
        pods: The pods that expose the runtime's metrics.
        requests: Requests.
        failed: Responses with 5xx.
        p95_seconds: The 95th percentile of their durations; None without requests.
        in_flight: Requests in flight now.
        limit: Requests in flight above which requests are shed; None if there is no limit.
        shed: Requests that were rejected before work on them began.
    """

    pods: int
    requests: float
    failed: float
    p95_seconds: float | None
    in_flight: float
    limit: float | None
    shed: float


@dataclass(frozen=True)
class Use:
    """Connections in use.

    Attributes:
        name: What holds them.
        used: Their number now.
        capacity: The most that the connection budget permits; None if it is not known.
        waiting: Clients that wait for one.
    """

    name: str
    used: float
    capacity: float | None
    waiting: float = 0.0


@dataclass(frozen=True)
class Current:
    """The load at this moment; a part without metrics is absent."""

    traffic: Traffic | None
    connections: tuple[Use, ...]


def current(
    windows: Mapping[Part, Sequence[Window]], *, servers: int | None, database: int | None
) -> Current:
    """Returns the load.

    Args:
        windows: The last readings of each part's pods.
        servers: Server connections that all poolers may open; None without a pooler.
        database: Connections that the database accepts; None if it is not known.
    """
    return Current(
        traffic=_traffic(_having(windows, Part.APP, f"{REQUESTS}_count")),
        connections=tuple(_connections(windows, servers, database)),
    )


def _having(windows: Mapping[Part, Sequence[Window]], part: Part, name: str) -> list[Window]:
    return [window for window in windows.get(part, ()) if window.has(name)]


def _traffic(app: Sequence[Window]) -> Traffic | None:
    if not app:
        return None
    durations = sum((window.histogram(REQUESTS) for window in app), NOTHING)
    limited = [window for window in app if window.has(_LIMIT)]
    return Traffic(
        pods=len(app),
        requests=sum(window.rate(f"{REQUESTS}_count") for window in app),
        failed=sum(
            window.rate(f"{REQUESTS}_count", **{_STATUS: code})
            for window in app
            for code in window.values_of(f"{REQUESTS}_count", _STATUS)
            if code.startswith("5")
        ),
        p95_seconds=durations.quantile(0.95) if durations.count else None,
        in_flight=_now(app, IN_FLIGHT),
        limit=_now(limited, _LIMIT) if limited else None,
        shed=sum(window.rate(_SHED) for window in app),
    )


def _connections(
    windows: Mapping[Part, Sequence[Window]], servers: int | None, database: int | None
) -> Iterable[Use]:
    if app := _having(windows, Part.APP, _POOL_SIZE):
        used = _now(app, _POOL_USED, db_client_connection_state="used")
        yield Use("app pools", used, _now(app, _POOL_SIZE))
    if pooler := _having(windows, Part.POOLER, _SERVERS):
        yield Use("PgBouncer", _now(pooler, _SERVERS), servers, _now(pooler, _WAITING))
    if found := _having(windows, Part.DATABASE, _ACTIVITY):
        yield Use("PostgreSQL", _now(found, _ACTIVITY), database)


def _now(windows: Iterable[Window], name: str, **wanted: str) -> float:
    """Returns the last value of a gauge, summed over the pods."""
    return sum(window.levels(name, **wanted)[-1] for window in windows)
