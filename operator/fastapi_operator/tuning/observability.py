"""How often metrics are read, which traces are kept, and the service level objective."""

from collections.abc import Iterator

from fastapi_operator.api.observability import Metrics, Observability
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.facts import POD_MONITOR, Facts
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.canary import canary_section
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import ObservabilityPlan
from fastapi_operator.tuning.profile import ProfiledSpec

METRICS = Group("observability", effects.OBJECT_NONE)
EXPORTERS = Group("observability", effects.OBJECT_ROLLOUT, case="with exporters")
TRACES = Group("observability", effects.APP_ROLLOUT, case="with a collector")
SLO = Group("observability", effects.OBJECT_NONE, case="with an slo")
LATENCY = Group("observability", effects.OBJECT_NONE, case="with an slo of latency")


def observability_plan(profiled: ProfiledSpec, facts: Facts) -> ObservabilityPlan:
    """Decides the numbers of metrics, traces and the service level objective.

    Args:
        profiled: The spec and its profile.
        facts: The APIs of the cluster.
    """
    spec = profiled.spec
    section, proxy = spec.observability or Observability(), spec.proxy
    slo, traces = section.slo, section.traces
    decided = METRICS.decide(profiled, pod_monitors=facts.offers(POD_MONITOR))
    has_exporters, is_nginx = (
        decided["exporters"].value,
        (proxy or Proxy()).engine in (None, "Nginx"),
    )
    nginx_counts_requests = is_nginx and (has_exporters or canary_section(spec) is not None)
    if has_exporters:
        decided |= EXPORTERS.decide(profiled)
    if traces is not None and traces.endpoint is not None:
        decided |= TRACES.decide(profiled)
    if slo is not None:
        decided |= SLO.decide(
            profiled,
            app_shows_metrics=(section.metrics or Metrics()).enabled is not False,
            nginx_counts_requests=nginx_counts_requests,
        )
        if slo.latency_milliseconds is not None:
            decided |= LATENCY.decide(profiled, promised_milliseconds=slo.latency_milliseconds)
    return ObservabilityPlan(**decided)


def slo_problems(plan: ObservabilityPlan) -> Iterator[Problem]:
    """Reports an objective that cannot be measured."""
    if plan.slo_measured_by is not None and plan.slo_measured_by.value == "nobody":
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.observability.slo",
            message=f"no alert measures it: {plan.slo_measured_by.reason}",
            remedy="remove metrics.enabled: false, or set metrics.exporters: true with nginx",
        )


METRICS.constant(
    "scrape_interval_seconds",
    30,
    "a rate over five minutes then has ten samples",
    field="observability.metrics.intervalSeconds",
    evidence="the timeout is Prometheus's default of 10 s, or the interval if that is shorter",
)


@METRICS.number(effect=effects.OBJECT_ROLLOUT, field="observability.metrics.exporters")
def _exporters(*, pod_monitors: bool) -> Because[bool]:
    """True if the cluster serves PodMonitor.

    A sidecar whose metrics are never read wastes memory.
    """
    if pod_monitors:
        return Because(True, "the cluster serves PodMonitor, by which Prometheus finds exporters")
    return Because(False, "the cluster does not serve PodMonitor, so exporters would not be read")


EXPORTERS.constant(
    "exporter_cpu_millicores",
    5,
    "most exporters only serve a scrape each half minute",
    amount="cpu",
    evidence="judgement",
)
EXPORTERS.constant(
    "exporter_memory_bytes",
    48 * figures.MIB,
    "twice the memory that an exporter was measured to take",
    amount="memory",
    evidence="measured: 15 to 22 MiB resident after start",
)
TRACES.constant(
    "trace_sample_percent",
    "5",
    "enough traces to find slow requests, at a cost that a busy service does not notice",
    field="observability.traces.samplePercent",
    evidence="judgement; the decision of a caller is followed, and this is the share of traces "
    "that begin here",
)


@SLO.number()
def _slo_measured_by(*, app_shows_metrics: bool, nginx_counts_requests: bool) -> Because[str]:
    """The app; nginx if the app shows no metrics.

    nginx counts requests with the same bounds. If neither can, a warning reports it.
    """
    if app_shows_metrics:
        return Because("app", "the app counts and times each request")
    if nginx_counts_requests:
        return Because(
            "proxy",
            "the app shows no metrics; nginx counts and times each request, its own responses "
            "included",
        )
    return Because("nobody", "the app shows no metrics, and nginx does not count requests")


SLO.constant(
    "availability_percent",
    "99.9",
    "allows 43 minutes of errors in a month of 30 days",
    field="observability.slo.availabilityPercent",
)


@LATENCY.number(unit="ms")
def _latency_milliseconds(*, promised_milliseconds: int) -> Because[int]:
    """The largest bound of the app's histogram within `slo.latencyMilliseconds`.

    A histogram can only count requests at its bounds (5, 10, 25, 50, 75, 100, 250, 500, 750 ms, 1,
    2.5, 5, 7.5, 10 s, as OpenTelemetry advises); the stricter bound is used.
    """
    bounds = figures.REQUEST_BUCKETS_MILLISECONDS
    bound = max((item for item in bounds if item <= promised_milliseconds), default=bounds[0])
    if bound == promised_milliseconds:
        return Because(bound, "the histogram of the app's requests has this bound")
    if bound > promised_milliseconds:
        return Because(
            bound,
            "the shortest bound of the app's histogram; {promised_milliseconds} ms are promised",
        )
    return Because(
        bound,
        "the largest bound of the app's histogram within the promised {promised_milliseconds} ms; "
        "requests between the two count as slow",
    )


LATENCY.constant(
    "latency_percent",
    "99",
    "one request in a hundred may be slower",
    field="observability.slo.latencyPercent",
)
