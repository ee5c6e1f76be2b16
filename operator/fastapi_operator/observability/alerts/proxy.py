"""Alerts on errors that only the proxy sees."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.alerts.alert import PERCENT, Alert
from fastapi_operator.observability.promql import CADDY_REQUESTS, OF_SERVICES, SERVICE, by_service


def _responses(status: str) -> str:
    """Responses per second."""
    nginx = f'{OF_SERVICES}, http_response_status_code=~"{status}"'
    caddy = f'{OF_SERVICES}, {CADDY_REQUESTS}, code=~"{status}"'
    of_nginx = by_service(f"rate(fastapi_proxy_request_duration_seconds_count{{{nginx}}}[5m])")
    of_caddy = by_service(f"rate(caddy_http_request_duration_seconds_count{{{caddy}}}[5m])")
    return f"({of_nginx} or {of_caddy})"


_FAILED = _responses("502|504")

PROXY = (
    Alert(
        name="FastAPIProxyErrors",
        group="proxy",
        condition=f"more than {100 * bounds.PROXY_ERRORS:g} % of the requests fail with 502 or 504 "
        "at the proxy",
        expression=f"{_FAILED} / on ({SERVICE}) {_responses('.+')} > {bounds.PROXY_ERRORS}\n"
        f"and on ({SERVICE}) {_FAILED} > {bounds.PROXY_ERRORS_PER_SECOND}",
        held="5m",
        summary=f"{PERCENT} of the requests fail with 502 or 504 at the proxy: the app does not "
        "respond",
        page="proxy-errors",
    ),
)
