"""The operator's own metrics and logs."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from fastapi_operator.api.status import Condition
from fastapi_operator.naming import SERVICE_SERIES_LABEL
from fastapi_operator.observability.planned import planned
from fastapi_operator.reconcile.loop.queue import Queue
from fastapi_operator.reconcile.observe.identity import Key
from fastapi_operator.tuning.plan import Plan

# What becomes of a pass.
OUTCOMES = ("done", "gone", "retry", "refused", "error")
_PASS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Telemetry:
    """Metrics of one operator, in a registry of their own."""

    def __init__(self) -> None:
        # A `_created` series beside each of ours would add a third to what is stored.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "fastapi_operator_api_requests",
            "Requests to the API server by verb, resource and status code (0: no answer).",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "fastapi_operator_api_request_duration_seconds",
            "Duration of requests to the API server by verb.",
            ["verb"],
            registry=self.registry,
        )
        self.passes = Histogram(
            "fastapi_operator_pass_duration_seconds",
            "Duration of a pass over one service, by outcome.",
            ["outcome"],
            buckets=_PASS_BUCKETS,
            registry=self.registry,
        )
        for outcome in OUTCOMES:
            # There from nought on: no alert sees the first one of a series that begins with it.
            self.passes.labels(outcome)
        self.writes = Counter(
            "fastapi_operator_writes",
            "Writes by kind and cause: "
            "missing, changed, drift, reference, owner, release, unwanted.",
            ["kind", "why"],
            registry=self.registry,
        )
        self.events = Counter(
            "fastapi_operator_watch_events",
            "Watch events by kind.",
            ["kind"],
            registry=self.registry,
        )
        self._services = Gauge(
            "fastapi_operator_services",
            "Services by status of the Ready condition and its reason.",
            ["ready", "reason"],
            registry=self.registry,
        )
        self.depth = Gauge(
            "fastapi_operator_queue_depth", "Services that wait for a pass.", registry=self.registry
        )
        self.oldest_wait = Gauge(
            "fastapi_operator_queue_oldest_wait_seconds",
            "How long the longest waiting service has been due.",
            registry=self.registry,
        )
        self.rollouts_waiting = Gauge(
            "fastapi_operator_rollouts_waiting",
            "Services that wait for their turn to get what a new operator version changes.",
            registry=self.registry,
        )
        self.delete_brake = Gauge(
            "fastapi_operator_delete_brake",
            "1 while pruning is stopped by too many deletes in a minute.",
            registry=self.registry,
        )
        self._ready: dict[Key, tuple[str, str]] = {}
        self._planned = _OfServices(
            "fastapi_operator_planned",
            "Planned values of a service, by the name of the decision as explain shows it.",
            "decision",
            registry=self.registry,
        )
        self._conditions = _OfServices(
            "fastapi_operator_condition",
            "1 for each condition of a service that tells of trouble: a part that is not ready, or "
            "Stalled.",
            "condition",
            "reason",
            registry=self.registry,
        )

    def request(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """Counts a request of the operator's own client."""
        self._requests.labels(verb, resource, str(status)).inc()
        self._request_seconds.labels(verb).observe(seconds)

    def wrote(self, kind: str, why: str) -> None:
        """Counts a write."""
        self.writes.labels(kind, why).inc()

    def service(self, key: Key, conditions: Iterable[Condition], plan: Plan | None) -> None:
        """Notes what a pass answered; without a plan the last one stays in force."""
        by_type = {condition.type: condition for condition in conditions}
        ready = by_type.pop("Ready")
        self._count(key, (ready.status, ready.reason))
        # Work that goes on is no trouble.
        by_type.pop("Reconciling", None)
        troubled: dict[tuple[str, ...], float] = {
            (condition.type, condition.reason): 1.0
            for condition in by_type.values()
            if condition.status == ("True" if condition.type == "Stalled" else "False")
        }
        self._conditions.set(key, troubled)
        if plan is not None:
            self._planned.set(key, {(name,): value for name, value in planned(plan).items()})

    def forget(self, key: Key) -> None:
        """Drops a deleted service."""
        self._count(key, None)
        self._conditions.set(key, {})
        self._planned.set(key, {})

    def _count(self, key: Key, now: tuple[str, str] | None) -> None:
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

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _OfServices:
    """A gauge whose series come and go with a service and what is said of it."""

    def __init__(self, name: str, text: str, *labels: str, registry: CollectorRegistry) -> None:
        own = ["namespace", SERVICE_SERIES_LABEL, *labels]
        self._gauge = Gauge(name, text, own, registry=registry)
        self._told: dict[Key, Mapping[tuple[str, ...], float]] = {}

    def set(self, key: Key, values: Mapping[tuple[str, ...], float]) -> None:
        """Replaces all series of a service."""
        before = self._told.pop(key, {})
        for labels in before.keys() - values.keys():
            self._gauge.remove(key.namespace, key.name, *labels)
        for labels, value in values.items():
            if before.get(labels) != value:
                self._gauge.labels(key.namespace, key.name, *labels).set(value)
        if values:
            self._told[key] = values


def configure_logging(*, level: str = "INFO") -> None:
    """JSON lines on standard error: what was done to which object, never a body or a value.

    Kopf logs whole bodies at DEBUG, so it stays at WARNING whatever our own level is.
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
