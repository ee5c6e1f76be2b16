"""The requests of a canary beside those of the stable version."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.grafana import Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.promql import COMPONENT, chosen, quantile, rate

_SECONDS = "fastapi_proxy_version_request_duration_seconds"
_VERSION = "{{version}}"
_ALL = rate(f"{_SECONDS}_count", "version")
_FAILED = rate(f"{_SECONDS}_count", "version", where=chosen('status="5xx"'))
_OF_CANARY = chosen('version="canary"')
_BOTH = chosen(f'{COMPONENT}=~"app|canary"')
_CPU = rate("fastapi_worker_cpu_seconds_total", COMPONENT, where=_BOTH)
_POD_SECONDS = "http_server_request_duration_seconds"
_REQUESTS = rate(f"{_POD_SECONDS}_count", COMPONENT, where=_BOTH)
_FAILED_IN_PODS = rate(
    f"{_POD_SECONDS}_count", COMPONENT, where=f'{_BOTH}, http_response_status_code=~"5.."'
)
_IN_PODS = f"{{{{{COMPONENT}}}}} pods"


def _during(expression: str) -> str:
    """The series of pods while there are those of a canary."""
    canary = rate(f"{_POD_SECONDS}_count", where=chosen(f'{COMPONENT}="canary"'))
    return f"{expression} and on () {canary}"


CANARY = Row(
    title="Canary",
    panels=(
        Panel(
            title="Requests by version",
            text="nginx counts each request for the version to which it assigned it, without "
            "testers' requests and cached responses. The pods count those that reach them, also "
            "behind Caddy or a Gateway. Empty while there is one version only.",
            unit=Unit.REQUESTS_PER_SECOND,
            empty="No canary",
            queries=(Query(_ALL, _VERSION), Query(_during(_REQUESTS), _IN_PODS)),
        ),
        Panel(
            title="Failed requests by version",
            text="If the canary fails more often, kubectl fastapi rollout shows the verdict, and "
            "kubectl fastapi abort ends it at once.",
            unit=Unit.RATIO,
            empty="No canary",
            bounds=(bounds.CANARY_ERRORS,),
            queries=(
                Query(f"{_FAILED} / {_ALL}", _VERSION),
                Query(_during(f"{_FAILED_IN_PODS} / {_REQUESTS}"), _IN_PODS),
            ),
        ),
        Panel(
            title="Duration by version, p95 and p99",
            text="At nginx, and in the pods without the way to them. The first minute of a step is "
            "slower: new pods have cold caches.",
            unit=Unit.SECONDS,
            empty="No canary",
            queries=(
                Query(quantile(0.95, _SECONDS, "version"), f"{_VERSION} p95"),
                Query(quantile(0.99, _SECONDS, "version"), f"{_VERSION} p99"),
                *(
                    Query(
                        _during(quantile(share, _POD_SECONDS, COMPONENT, where=_BOTH)),
                        f"{_IN_PODS} p{100 * share:g}",
                    )
                    for share in (0.95, 0.99)
                ),
            ),
        ),
        Panel(
            title="CPU of a request by version",
            text="CPU time of the workers for each request, from the app's own metrics.",
            unit=Unit.SECONDS,
            empty="No canary",
            width=12,
            queries=(Query(f"{_CPU} / {_REQUESTS}", f"{{{{{COMPONENT}}}}}"),),
        ),
        Panel(
            title="Requests of the canary that the stable version served",
            text="As nginx counts them. The canary had no pod for them: all were busy, not ready, "
            "or it was aborted. Clients saw no error.",
            unit=Unit.RATIO,
            empty="No canary",
            width=12,
            queries=(
                Query(
                    rate("fastapi_proxy_version_fallbacks_total", where=_OF_CANARY)
                    + f" / {rate(f'{_SECONDS}_count', where=_OF_CANARY)}",
                    "served by stable",
                ),
            ),
        ),
    ),
)
