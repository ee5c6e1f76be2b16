"""The operator's own metrics and logs."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from fastapi_operator.api.status import Condition, RecommendationStatus
from fastapi_operator.observability.metrics import metric
from fastapi_operator.observability.planned import planned
from fastapi_operator.reconcile.loop.queue import Queue
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.plan.conditions import OVERLOADED
from fastapi_operator.tuning.plan import Plan

# The outcomes of a reconciliation.
OUTCOMES = ("done", "gone", "retry", "refused", "error")
# The outcomes of reading a pod's metrics.
OBSERVED = ("Read", "First", "Restarted", "NoPod", "Unreadable")
_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Telemetry:
    """The metrics of one operator, in a registry of their own."""

    def __init__(self) -> None:
        # `_created` series would increase the number of stored series by a third.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._requests = _described(Counter, "fastapi_operator_api_requests", self.registry)
        self._request_seconds = _described(
            Histogram, "fastapi_operator_api_request_duration_seconds", self.registry
        )
        self.reconciliations = _described(
            Histogram,
            "fastapi_operator_pass_duration_seconds",
            self.registry,
            buckets=_DURATION_BUCKETS,
        )
        for outcome in OUTCOMES:
            # Each series starts at zero. An alert cannot see the first increase of a new series.
            self.reconciliations.labels(outcome)
        self.writes = _described(Counter, "fastapi_operator_writes", self.registry)
        self.events = _described(Counter, "fastapi_operator_watch_events", self.registry)
        self._services = _described(Gauge, "fastapi_operator_services", self.registry)
        self.depth = _described(Gauge, "fastapi_operator_queue_depth", self.registry)
        self.oldest_wait = _described(
            Gauge, "fastapi_operator_queue_oldest_wait_seconds", self.registry
        )
        self.rollouts_waiting = _described(
            Gauge, "fastapi_operator_rollouts_waiting", self.registry
        )
        self._working = _described(Gauge, "fastapi_operator_working", self.registry)
        self.delete_brake = _described(Gauge, "fastapi_operator_delete_brake", self.registry)
        self._observations = _described(Counter, "fastapi_operator_observations", self.registry)
        for outcome in OBSERVED:
            self._observations.labels(outcome)
        self._ready: dict[ServiceKey, tuple[str, str]] = {}
        self._planned = _PerService("fastapi_operator_planned", self.registry)
        self._conditions = _PerService("fastapi_operator_condition", self.registry)
        self._cores = _PerService("fastapi_operator_recommended_cpu_cores", self.registry)
        self._memory = _PerService("fastapi_operator_recommended_memory_bytes", self.registry)

    def request(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """Counts a request of the operator's own client."""
        self._requests.labels(verb, resource, str(status)).inc()
        self._request_seconds.labels(verb).observe(seconds)

    def wrote(self, kind: str, why: str) -> None:
        """Counts a write."""
        self.writes.labels(kind, why).inc()

    def observed(self, outcome: str) -> None:
        """Counts an attempt to read the metrics of a service's pod."""
        self._observations.labels(outcome).inc()

    def recommended(self, key: ServiceKey, items: Iterable[RecommendationStatus]) -> None:
        """Records the effects of a service's recommendations, by number."""
        found = tuple(items)
        self._cores.set(key, {(item.number,): item.cpu_millicores / 1000 for item in found})
        self._memory.set(key, {(item.number,): float(item.memory_bytes) for item in found})

    def service(self, key: ServiceKey, conditions: Iterable[Condition], plan: Plan | None) -> None:
        """Records the status of a service; without a plan, the values of the last one stay."""
        by_type = {condition.type: condition for condition in conditions}
        ready = by_type.pop("Ready")
        self._count(key, (ready.status, ready.reason))
        # Reconciling is not a problem, and rejected requests have metrics of their own.
        for kind in ("Reconciling", OVERLOADED):
            by_type.pop(kind, None)
        problems: dict[tuple[str, ...], float] = {
            (condition.type, condition.reason): 1.0
            for condition in by_type.values()
            if condition.status == ("True" if condition.type == "Stalled" else "False")
        }
        self._conditions.set(key, problems)
        if plan is not None:
            self._planned.set(key, {(name,): value for name, value in planned(plan).items()})

    def forget(self, key: ServiceKey) -> None:
        """Drops a deleted service."""
        self._count(key, None)
        self.recommended(key, ())
        self._conditions.set(key, {})
        self._planned.set(key, {})

    def _count(self, key: ServiceKey, now: tuple[str, str] | None) -> None:
        before = self._ready.pop(key, None)
        if before is not None:
            self._services.labels(*before).dec()
        if now is not None:
            self._ready[key] = now
            self._services.labels(*now).inc()

    def watch_queue(self, queue: Queue, braked: Callable[[], bool]) -> None:
        """Reads the queue and the brake whenever metrics are scraped."""
        self.depth.set_function(lambda: queue.depth)
        self.oldest_wait.set_function(lambda: queue.oldest_wait_seconds)
        self.delete_brake.set_function(lambda: float(braked()))

    def watch_process(self, working: Callable[[], bool]) -> None:
        """Reads whether this process works whenever metrics are scraped."""
        self._working.set_function(lambda: float(working()))

    def exposition(self) -> bytes:
        """Returns all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


_Collector = TypeVar("_Collector", Counter, Gauge, Histogram)


def _described(
    collector: type[_Collector], name: str, registry: CollectorRegistry, **options: Any
) -> _Collector:
    """Creates a collector with the help and the labels of the table of metrics."""
    described = metric(name)
    return collector(name, described.text, described.labels, registry=registry, **options)


class _PerService:
    """A gauge whose series exist as long as a service and its values do."""

    def __init__(self, name: str, registry: CollectorRegistry) -> None:
        self._gauge = _described(Gauge, name, registry)
        self._series: dict[ServiceKey, Mapping[tuple[str, ...], float]] = {}

    def set(self, key: ServiceKey, values: Mapping[tuple[str, ...], float]) -> None:
        """Replaces all series of a service."""
        before = self._series.pop(key, {})
        for labels in before.keys() - values.keys():
            self._gauge.remove(key.namespace, key.name, *labels)
        for labels, value in values.items():
            if before.get(labels) != value:
                self._gauge.labels(key.namespace, key.name, *labels).set(value)
        if values:
            self._series[key] = values


def configure_logging(*, level: str = "INFO") -> None:
    """Logs JSON lines to standard error: actions and objects, never a body or a value.

    Kopf logs whole bodies at DEBUG, so its level is always WARNING.
    """
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("kopf", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
