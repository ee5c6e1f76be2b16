"""Alerts on a new version beside the released one."""

from dataclasses import dataclass

from fastapi_operator.observability import bounds
from fastapi_operator.observability.alerts.alert import PERCENT, Alert
from fastapi_operator.observability.promql import COMPONENT, OF_SERVICES, SERVICE, by_service
from fastapi_operator.parts import Part

# The reasons of Stalled after a canary that was judged; they have an alert of their own.
REASONS = "CanaryAborted|CanaryFailed"


@dataclass(frozen=True)
class _Counter:
    """A counter of the requests of each version.

    Attributes:
        series: Its name.
        version: The label of the version.
        stable: The value of that label for the stable version.
        failed: The matcher of failed requests.
    """

    series: str
    version: str
    stable: str
    failed: str

    def requests(self, version: str, *further: str) -> str:
        matchers = ", ".join((OF_SERVICES, f'{self.version}="{version}"', *further))
        return by_service(f"rate({self.series}{{{matchers}}}[5m])")

    def share_of_errors(self, version: str) -> str:
        return f"{self.requests(version, self.failed)} / {self.requests(version)}"

    @property
    def is_worse(self) -> str:
        canary, stable = self.share_of_errors("canary"), self.share_of_errors(self.stable)
        # Without a failed request of the stable version, its share has no series.
        return (
            f"({canary} > {bounds.CANARY_ERRORS})\n"
            f"unless on ({SERVICE}) ({canary} <= {bounds.CANARY_ERRORS_FACTOR} * {stable})"
        )


_BY_NGINX = _Counter(
    "fastapi_proxy_version_request_duration_seconds_count", "version", "stable", 'status="5xx"'
)
# Caddy and a Gateway do not count versions, but the pods of both do, if the app has the runtime.
_BY_PODS = _Counter(
    "http_server_request_duration_seconds_count",
    COMPONENT,
    Part.APP,
    'http_response_status_code=~"5.."',
)

CANARY = (
    Alert(
        name="FastAPICanaryAborted",
        group="rollout",
        condition="a new version was aborted, or has failed and waits for a decision",
        expression=f"max by ({SERVICE}, reason) (fastapi_operator_condition"
        f'{{condition="Stalled", reason=~"{REASONS}"}}) == 1',
        held="1m",
        summary="the new version is not released ({{ $labels.reason }}); the stable version serves",
        page="canary-aborted",
    ),
    Alert(
        name="FastAPICanaryErrors",
        group="rollout",
        condition=f"more than {100 * bounds.CANARY_ERRORS:g} % of a canary's requests fail, and "
        f"more than {bounds.CANARY_ERRORS_FACTOR} times as many as those of the stable version: "
        "the operator should have aborted it",
        expression=f"({_BY_NGINX.is_worse})\nor\n({_BY_PODS.is_worse}\n"
        f"unless on ({SERVICE}) {_BY_NGINX.requests('canary')})",
        held="5m",
        summary=f"{PERCENT} of the canary's requests fail, far more than those of the stable "
        "version, and it still gets its share",
        page="canary-errors",
        severity="critical",
    ),
)
