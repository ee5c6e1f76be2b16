"""How a new version gets its share of the requests: steps, bounds and pods."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from fastapi_operator.api import fields
from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.observability import Observability
from fastapi_operator.api.proxy import PRIVATE_HEADERS, Proxy
from fastapi_operator.api.service import Spec
from fastapi_operator.api.workload import Canary, Rollout, Stickiness
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.budget import canary_pods
from fastapi_operator.tuning.client_address import Source, client_address
from fastapi_operator.tuning.decision import Because, Decision
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import ObservabilityPlan, ScalingPlan
from fastapi_operator.tuning.profile import ProfiledSpec

CANARY = Group("canary", effects.OBJECT_NONE)
ERRORS = Group("canary", effects.OBJECT_NONE, case="with an slo")
LATENCY = Group("canary", effects.OBJECT_NONE, case="with an slo of latency")
_FIELD = "rollout.canary"
# The proxy or the Gateway removes the version header from requests, and requests need these.
_NEEDED_HEADERS = frozenset(
    name.lower()
    for name in (
        *PRIVATE_HEADERS,
        "Host",
        "Connection",
        "Upgrade",
        "TE",
        "Transfer-Encoding",
        "Content-Length",
        "Content-Type",
        "Content-Encoding",
        "Accept",
        "Accept-Encoding",
        "Expect",
        "Origin",
        "Range",
        "Forwarded",
        "X-Request-ID",
        "X-Request-Start",
        "X-Real-IP",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
    )
)
# The percentile of CanaryPlan.max_p95_milliseconds.
_P95 = Decimal(95)


class Divider(StrEnum):
    """The divider of the requests between two versions."""

    NGINX = "nginx"
    CADDY = "Caddy"
    GATEWAY = "the Gateway"

    @property
    def counts_versions(self) -> bool:
        """Whether it counts the requests of each version; otherwise the app's pods do."""
        return self is Divider.NGINX


# These know no property of a request by which it could stay with one version.
_DIVIDES_REQUESTS = frozenset({Divider.CADDY, Divider.GATEWAY})


@dataclass(frozen=True, kw_only=True)
class CanaryPlan:
    """How a new version gets its share of the requests.

    Attributes:
        steps: The shares, in percent.
        step_seconds: The least time of a step.
        min_requests: The fewest requests of the new version in a step.
        max_wait_seconds: The longest time of a step.
        max_error_percent: The largest share of failed requests; None if it is compared with the
            released version only.
        max_p95_milliseconds: The largest 95th percentile of the durations; None if it is compared
            with the released version only.
        max_pods: The most pods of the new version beside the released one.
        stickiness: ``Client``, ``Header`` or ``Request``, which decides the version of a request.
        on_failure: ``Abort`` or ``Hold``.
        version_header: The header by which testers choose a version; empty for none.
        everyone_tests: Whether all clients may use that header.
        divided_by: The divider of the requests.
        sticky_header: The header that decides with stickiness ``Header``; empty for none.
    """

    steps: Decision[tuple[int, ...]]
    step_seconds: Decision[int]
    min_requests: Decision[int]
    max_wait_seconds: Decision[int]
    max_error_percent: Decision[str] | None = None
    max_p95_milliseconds: Decision[int] | None = None
    max_pods: Decision[int]
    stickiness: Decision[str]
    on_failure: str
    version_header: str
    everyone_tests: bool
    divided_by: Divider
    sticky_header: str


def canary_section(spec: Spec) -> Canary | None:
    """Returns ``spec.rollout.canary``; None if new versions are released at once."""
    section = (spec.rollout or Rollout()).canary
    return section if section is not None and _refusal(spec) is None else None


def divider(spec: Spec) -> Divider | None:
    """Returns the divider of the requests between two versions; None if nothing can."""
    engine, exposure = (spec.proxy or Proxy()).engine, spec.exposure
    if engine in (None, "Nginx"):
        return Divider.NGINX
    if engine == "Caddy":
        return Divider.CADDY
    return Divider.GATEWAY if exposure is not None and exposure.gateway is not None else None


def _refusal(spec: Spec) -> tuple[str, str] | None:
    """Returns why a new version cannot get a share, and the remedy; None if it can."""
    divided_by = divider(spec)
    if divided_by is None:
        return (
            "there is neither a proxy nor a Gateway, which would divide the requests between the "
            "versions",
            "set spec.proxy.engine: Nginx or spec.exposure.gateway",
        )
    metrics = (spec.observability or Observability()).metrics
    if not divided_by.counts_versions and metrics is not None and metrics.enabled is False:
        return (
            f"{divided_by} does not count the requests of each version, and the app's metrics are "
            "disabled",
            "remove spec.observability.metrics.enabled, or set spec.proxy.engine: Nginx",
        )
    return None


def largest_share(spec: Spec) -> int:
    """Returns the largest share of the requests that a canary gets, in percent; 0 without one."""
    section = canary_section(spec)
    return 0 if section is None else max(section.steps or figures.CANARY_STEPS)


def canary_plan(
    profiled: ProfiledSpec, scaling: ScalingPlan, observability: ObservabilityPlan
) -> CanaryPlan | None:
    """Decides how a new version gets its share; None if it is released at once.

    Args:
        profiled: The spec and its profile.
        scaling: The pods of the app.
        observability: The objectives of the service.
    """
    spec = profiled.spec
    section, divided_by, proxy = canary_section(spec), divider(spec), spec.proxy or Proxy()
    if section is None or divided_by is None:
        return None
    decided = CANARY.decide(
        profiled,
        max_replicas=scaling.max_replicas,
        address=client_address(proxy, spec.exposure or Exposure()).source.value,
        divided_by=divided_by.value,
    )
    availability = observability.availability_percent
    if availability is not None or section.max_error_percent is not None:
        decided |= ERRORS.decide(profiled, availability_percent=availability)
    latency, percent = observability.latency_milliseconds, observability.latency_percent
    promised = percent is not None and Decimal(percent.value) >= _P95
    if promised or section.max_p95_milliseconds is not None:
        decided |= LATENCY.decide(profiled, latency_milliseconds=latency, latency_percent=percent)
    by_header = decided["stickiness"].value == "Header"
    header = (section.stickiness or Stickiness()).header if by_header else None
    return CanaryPlan(
        **decided,
        on_failure=section.on_failure or "Abort",
        version_header=section.version_header or "",
        everyone_tests=section.testers == "Everyone",
        divided_by=divided_by,
        sticky_header=header or "",
    )


def canary_problems(spec: Spec, written: Mapping[str, Any]) -> Iterator[Problem]:
    """Reports why a new version cannot get a share of the requests.

    Args:
        spec: The spec with the defaults of its profile.
        written: The spec as the user wrote it: a profile may have a canary for every service.
    """
    section = (spec.rollout or Rollout()).canary
    if section is None:
        return
    is_requested = fields.value_at(written, ("rollout", "canary")) is not None
    # A profile may have a canary for services that cannot have one.
    severity = Severity.ERROR if is_requested else Severity.WARNING
    refusal, divided_by = _refusal(spec), divider(spec)
    if refusal is not None:
        message, remedy = refusal
        yield Problem(
            severity=severity,
            stage=Stage.PLAN,
            path=f"spec.{_FIELD}",
            message=message,
            remedy=f"{remedy}, or remove canary"
            if is_requested
            else f"{remedy}; until then, new versions are released at once",
        )
    elif spec.proxy is not None and spec.proxy.static:
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.proxy.static",
            message="the proxy has the files of the released version until the canary is released, "
            "so a page of the canary that names a new file gets 404 for it",
            remedy="keep the names of files, or serve new ones from the app",
        )
    mode = (section.stickiness or Stickiness()).mode
    if divided_by in _DIVIDES_REQUESTS and mode not in (None, "Request"):
        yield Problem(
            severity=severity,
            stage=Stage.PLAN,
            path=f"spec.{_FIELD}.stickiness.mode",
            message=f"{mode} is not supported with {divided_by}, which divides each request by "
            "itself",
            remedy="set mode: Request or spec.proxy.engine: Nginx",
        )
    if divided_by is Divider.GATEWAY and section.version_header and section.testers != "Everyone":
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path=f"spec.{_FIELD}.versionHeader",
            message="a Gateway does not know the networks of testers, so the header is removed "
            "from all requests",
            remedy="set testers: Everyone if each client of the Gateway may choose its version",
        )
    if (section.version_header or "").lower() in _NEEDED_HEADERS:
        yield Problem(
            severity=Severity.ERROR,
            stage=Stage.PLAN,
            path=f"spec.{_FIELD}.versionHeader",
            message=f"{section.version_header} has another meaning, and the proxy removes the "
            "version header from the requests of clients that are not testers",
            remedy="set for example X-Version",
        )
    steps = section.steps or ()
    if any(later <= step for step, later in itertools.pairwise(steps)):
        yield Problem(
            severity=Severity.ERROR,
            stage=Stage.PLAN,
            path=f"spec.{_FIELD}.steps",
            message="each step must be larger than the one before it",
            remedy=f"set for example {list(figures.CANARY_STEPS)}",
        )
    most = section.max_wait_seconds
    if most is not None and most < (section.step_seconds or figures.CANARY_STEP_SECONDS):
        yield Problem(
            severity=Severity.ERROR,
            stage=Stage.PLAN,
            path=f"spec.{_FIELD}.maxWaitSeconds",
            message="is shorter than a step",
            remedy="set at least stepSeconds",
        )


CANARY.constant(
    "steps",
    figures.CANARY_STEPS,
    "a bad version reaches few clients, and half of the requests show how it does under load",
    unit="percent",
    field=f"{_FIELD}.steps",
    headline=True,
    evidence="judgement",
)
CANARY.constant(
    "step_seconds",
    figures.CANARY_STEP_SECONDS,
    "connections, caches and memory of new pods settle meanwhile",
    field=f"{_FIELD}.stepSeconds",
    evidence="judgement",
)
CANARY.constant(
    "min_requests",
    figures.CANARY_REQUESTS,
    "fewer requests do not show an error in a hundred",
    unit="requests",
    field=f"{_FIELD}.minRequests",
    evidence="judgement",
)


@CANARY.number(field=f"{_FIELD}.maxWaitSeconds")
def _max_wait_seconds(*, step_seconds: int) -> Because[int]:
    """3600, at least step_seconds (judgement)."""
    return Because(
        max(figures.CANARY_WAIT_SECONDS, step_seconds),
        "then `onFailure` decides, if there were too few requests to judge the new version",
    )


@ERRORS.number(unit="%", field=f"{_FIELD}.maxErrorPercent")
def _max_error_percent(*, availability_percent: str) -> Because[str]:
    """14.4 · (100 − observability.availability_percent).

    The share at which the alert on the error budget pages a person.
    """
    bound = figures.SLO_PAGE_RATE * (100 - Decimal(availability_percent))
    return Because(
        f"{min(bound, Decimal(100)).normalize():f}",
        f"{figures.SLO_PAGE_RATE} times the errors that {{availability_percent}} % permits, which "
        "also pages a person",
    )


@LATENCY.number(unit="ms", field=f"{_FIELD}.maxP95Milliseconds")
def _max_p95_milliseconds(*, latency_milliseconds: int, latency_percent: str) -> Because[int]:
    """observability.latency_milliseconds, if 95 % of the requests or more must be as fast."""
    return Because(
        latency_milliseconds, f"the slo promises it to {latency_percent} % of the requests"
    )


@CANARY.number(unit="pods")
def _max_pods(*, max_replicas: int, steps: tuple[int, ...]) -> Because[int]:
    """⌈scaling.max_replicas · last step⌉.

    Each step has up to so many pods that none gets more requests than a released one. They count
    in the connection budget beside those of the released version.
    """
    return Because(
        canary_pods(max_replicas, max(steps)),
        f"{max(steps)} % of {{max_replicas}} pods, beside those of the released version",
    )


@CANARY.number(effect=effects.SERVER_RELOAD, field=f"{_FIELD}.stickiness.mode")
def _stickiness(*, address: str, divided_by: str) -> Because[str]:
    """Client if nginx divides the requests and a proxy in front names it, else Request."""
    if divided_by in _DIVIDES_REQUESTS:
        return Because("Request", "{divided_by} divides each request by itself")
    if address == Source.CONNECTION:
        return Because(
            "Request",
            "requests are divided one by one: the address of a connection can be that of a proxy "
            "with many clients",
        )
    return Because("Client", "the address of each client is known from {address}")
