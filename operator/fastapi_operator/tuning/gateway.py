"""Timeouts and retries of an HTTPRoute: the last of the timeouts, in front of the proxy.

A timeout of a Gateway counts from the beginning of a request to the end of its response, while
those of the proxy count between two pieces. So a stream has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi_operator.api.exposure import Exposure, Gateway
from fastapi_operator.facts import HTTP_ROUTE, Facts
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, Decision
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.profile import ProfiledSpec

TIMEOUTS = Group("gateway", effects.OBJECT_NONE)
RETRY = Group("gateway", effects.OBJECT_NONE)
_FIELD = "exposure.gateway"
_REJECTED = 503
_SINCE = {"timeouts": "1.2", "retry": "1.7, or its experimental channel"}


@dataclass(frozen=True, kw_only=True)
class GatewayPlan:
    """The numbers of an HTTPRoute; those of unused features are None. 0 seconds are no limit."""

    backend_request_seconds: Decision[int] | None = None
    request_seconds: Decision[int] | None = None
    retry_attempts: Decision[int] | None = None
    retry_backoff_milliseconds: Decision[int] | None = None


def gateway_plan(
    profiled: ProfiledSpec, read_timeout_seconds: int, facts: Facts
) -> GatewayPlan | None:
    """Decides the timeouts and retries that the cluster's HTTPRoutes can have.

    Args:
        profiled: The spec and its profile.
        read_timeout_seconds: How long the proxy waits for the app.
        facts: The fields of the cluster's HTTPRoutes.
    """
    gateway = profiled.spec.exposure.gateway if profiled.spec.exposure else None
    if gateway is None:
        return None
    decided: dict[str, Decision[int]] = {}
    if gateway.timeouts is not None and "timeouts" in facts.route_fields:
        decided |= TIMEOUTS.decide(
            profiled,
            read_timeout_seconds=read_timeout_seconds,
            given_seconds=gateway.timeouts.request_seconds,
        )
    if gateway.retry is not None and "retry" in facts.route_fields:
        decided |= RETRY.decide(profiled)
    return GatewayPlan(**decided)


@TIMEOUTS.number(field=f"{_FIELD}.timeouts.backendRequestSeconds")
def _backend_request_seconds(
    *, read_timeout_seconds: int, given_seconds: int | None
) -> Because[int]:
    """proxy.read_timeout_seconds + 5; at most `timeouts.requestSeconds`."""
    if given_seconds == 0:
        return Because(0, "no limit, as for the whole request")
    longest = read_timeout_seconds + figures.GATEWAY_MARGIN_SECONDS
    if given_seconds is not None and given_seconds < longest:
        return Because(given_seconds, "the whole request has {given_seconds} s")
    return Because(
        longest,
        "one attempt: longer than the {read_timeout_seconds} s for which the proxy waits, so the "
        "response names its cause",
    )


@TIMEOUTS.number(field=f"{_FIELD}.timeouts.requestSeconds")
def _request_seconds(*, backend_request_seconds: int) -> Because[int]:
    """backend_request_seconds + 5; 0 if that is 0."""
    if backend_request_seconds == 0:
        return Because(0, "no limit, as for one attempt")
    return Because(
        backend_request_seconds + figures.GATEWAY_MARGIN_SECONDS,
        "all attempts with their responses: longer than one of {backend_request_seconds} s",
    )


RETRY.constant(
    "retry_attempts",
    1,
    "another pod of the proxy serves; the proxy itself has tried several pods of the app",
    unit="attempts",
    field=f"{_FIELD}.retry.attempts",
    evidence="judgement",
)
RETRY.constant(
    "retry_backoff_milliseconds",
    50,
    "the Gateway has seen by then that a pod is gone",
    field=f"{_FIELD}.retry.backoffMilliseconds",
    evidence="judgement",
)


def gateway_problems(
    exposure: Exposure, plan: GatewayPlan | None, read_timeout_seconds: int, facts: Facts
) -> Iterator[Problem]:
    """Reports fields that the cluster lacks, and values that contradict the other timeouts."""
    gateway = exposure.gateway
    if gateway is None or plan is None:
        return
    yield from _unknown_fields(gateway, facts)
    request, attempt = plan.request_seconds, plan.backend_request_seconds
    if request and attempt:
        if 0 < request.value < attempt.value:
            yield _problem(
                "timeouts.backendRequestSeconds",
                f"one attempt of {attempt.value} s is longer than the whole request of "
                f"{request.value} s",
                "raise requestSeconds, or lower backendRequestSeconds",
                Severity.ERROR,
            )
        given = gateway.timeouts.backend_request_seconds if gateway.timeouts else None
        name = "requestSeconds" if given is None else "backendRequestSeconds"
        if 0 < attempt.value < read_timeout_seconds:
            yield _problem(
                f"timeouts.{name}",
                f"the Gateway ends a request after {attempt.value} s, for which the proxy still "
                f"waits ({read_timeout_seconds} s)",
                f"set more than {read_timeout_seconds}, or lower proxy.timeouts.readSeconds",
            )
    if gateway.retry and _REJECTED in (gateway.retry.codes or ()):
        yield _problem(
            "retry.codes",
            "503 is the response of pods that are full, and each retry adds load",
            "remove 503; clients retry after Retry-After",
        )


def _unknown_fields(gateway: Gateway, facts: Facts) -> Iterator[Problem]:
    for field, version in _SINCE.items():
        is_missing = getattr(gateway, field) is not None and field not in facts.route_fields
        if is_missing and facts.offers(HTTP_ROUTE):
            yield _problem(
                field,
                f"the cluster's HTTPRoutes have no field {field}, so it is left out",
                f"install Gateway API {version}; offline, name the field in httpRouteFields of "
                "--facts",
            )


def _problem(
    field: str, message: str, remedy: str, severity: Severity = Severity.WARNING
) -> Problem:
    return Problem(
        severity=severity,
        stage=Stage.PLAN,
        path=f"spec.{_FIELD}.{field}",
        message=message,
        remedy=remedy,
    )
