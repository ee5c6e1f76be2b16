"""How often metrics are read, which traces are kept, and what the service promises."""

from collections.abc import Iterator

from fastapi_operator.api.observability import Metrics, Observability, Slo, Traces
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.facts import POD_MONITOR, Facts
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, Decision, decide, fixed, overridden
from fastapi_operator.tuning.plan import ObservabilityPlan


def observability_plan(said: Observability | None, proxy: Proxy, facts: Facts) -> ObservabilityPlan:
    """The numbers of metrics, traces and the service level objective.

    Args:
        said: What the user said.
        proxy: The proxy, which counts requests where the app does not.
        facts: What the cluster serves.
    """
    section = said or Observability()
    traces, slo = section.traces or Traces(), section.slo
    exporters = _exporters(section.metrics or Metrics(), facts)
    return ObservabilityPlan(
        exporters=exporters,
        exporter_cpu_millicores=fixed(
            "observability.exporter_cpu_millicores",
            figures.EXPORTER_CPU_MILLICORES,
            "a scrape each half minute is all that most of them do",
            unit="",
            effect=effects.OBJECT_ROLLOUT,
        )
        if exporters.value
        else None,
        exporter_memory_bytes=fixed(
            "observability.exporter_memory_bytes",
            figures.EXPORTER_MEMORY_BYTES,
            "what an exporter was measured to take, twice",
            unit="",
            effect=effects.OBJECT_ROLLOUT,
        )
        if exporters.value
        else None,
        scrape_interval_seconds=decide(
            "observability.scrape_interval_seconds",
            _scrape_interval,
            unit="seconds",
            override=overridden(
                (section.metrics or Metrics()).interval_seconds,
                "spec.observability.metrics.intervalSeconds",
            ),
            effect=effects.OBJECT_NONE,
        ),
        trace_sample_percent=decide(
            "observability.trace_sample_percent",
            _trace_sample,
            unit="percent",
            override=overridden(traces.sample_percent, "spec.observability.traces.samplePercent"),
            effect=effects.APP_ROLLOUT,
        )
        if traces.endpoint is not None
        else None,
        slo_measured_by=decide(
            "observability.slo_measured_by",
            _measured_by,
            unit="",
            app_shows_metrics=(section.metrics or Metrics()).enabled is not False,
            nginx_has_exporter=exporters.value and proxy.engine in (None, "Nginx"),
            effect=effects.OBJECT_NONE,
        )
        if slo is not None
        else None,
        availability_percent=_availability(slo) if slo is not None else None,
        latency_milliseconds=_latency(slo.latency_milliseconds)
        if slo is not None and slo.latency_milliseconds is not None
        else None,
        latency_percent=_latency_percent(slo)
        if slo is not None and slo.latency_milliseconds is not None
        else None,
    )


def slo_problems(plan: ObservabilityPlan) -> Iterator[Problem]:
    """A promise that nobody can measure."""
    if plan.slo_measured_by is not None and plan.slo_measured_by.value == "nobody":
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.observability.slo",
            message=f"no alert watches it: {plan.slo_measured_by.reason}",
            remedy="remove metrics.enabled: false, or set metrics.exporters: true with nginx",
        )


def _exporters(metrics: Metrics, facts: Facts) -> Decision[bool]:
    return decide(
        "observability.exporters",
        _somebody_reads,
        unit="",
        override=overridden(metrics.exporters, "spec.observability.metrics.exporters"),
        pod_monitors=facts.offers(POD_MONITOR),
        effect=effects.OBJECT_ROLLOUT,
    )


def _somebody_reads(*, pod_monitors: bool) -> Because[bool]:
    if pod_monitors:
        return Because(True, "the cluster has PodMonitors, by which Prometheus finds them")
    return Because(False, "the cluster has no PodMonitors, so that nobody would read them")


def _availability(slo: Slo) -> Decision[str]:
    return decide(
        "observability.availability_percent",
        _availability_percent,
        unit="percent",
        override=overridden(slo.availability_percent, "spec.observability.slo.availabilityPercent"),
        effect=effects.OBJECT_NONE,
    )


def _latency(promised: int) -> Decision[int]:
    return decide(
        "observability.latency_milliseconds",
        _within,
        unit="ms",
        promised_milliseconds=promised,
        effect=effects.OBJECT_NONE,
    )


def _latency_percent(slo: Slo) -> Decision[str]:
    return decide(
        "observability.latency_percent",
        _slow_percent,
        unit="percent",
        override=overridden(slo.latency_percent, "spec.observability.slo.latencyPercent"),
        effect=effects.OBJECT_NONE,
    )


def _availability_percent() -> Because[str]:
    return Because(
        figures.SLO_AVAILABILITY_PERCENT, "43 minutes in a month of 30 days may be all errors"
    )


def _slow_percent() -> Because[str]:
    return Because(figures.SLO_LATENCY_PERCENT, "one request in a hundred may be slower")


def _measured_by(*, app_shows_metrics: bool, nginx_has_exporter: bool) -> Because[str]:
    if app_shows_metrics:
        return Because("app", "the app counts and times each request")
    if nginx_has_exporter:
        return Because(
            "proxy",
            "the app shows no metrics; nginx counts and times each request, those included that it "
            "answers itself",
        )
    return Because("nobody", "the app shows no metrics, and no exporter of nginx is there")


def _scrape_interval() -> Because[int]:
    return Because(
        figures.SCRAPE_INTERVAL_SECONDS, "a rate over five minutes then rests on ten samples"
    )


def _trace_sample() -> Because[str]:
    return Because(
        figures.TRACE_SAMPLE_PERCENT,
        "enough traces to find what is slow, at a cost that a busy service does not notice",
    )


def _within(*, promised_milliseconds: int) -> Because[int]:
    bounds = figures.REQUEST_BUCKETS_MILLISECONDS
    bound = max((item for item in bounds if item <= promised_milliseconds), default=bounds[0])
    if bound == promised_milliseconds:
        return Because(bound, "the histogram of the app's requests has this very bound")
    if bound > promised_milliseconds:
        return Because(
            bound,
            "the shortest that the histogram of the app's requests tells apart, though "
            "{promised_milliseconds} ms are promised",
        )
    return Because(
        bound,
        "the largest bound of the app's histogram within the promised {promised_milliseconds} ms; "
        "what lies between counts as slow",
    )
