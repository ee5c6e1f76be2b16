"""A worker: takes services from the queue, reconciles them, and requeues them if needed."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.loop.queue import Queue
from fastapi_operator.reconcile.loop.reconciler import Reconciler, ReconcileResult
from fastapi_operator.reconcile.loop.telemetry import Telemetry
from fastapi_operator.reconcile.observe.identity import ServiceKey

BUG_RETRY_SECONDS = 10.0
REFUSED_RETRY_SECONDS = 60.0

_log = structlog.get_logger(__name__)


class Worker:
    """Reconciles one service after another; several tasks may run it at once."""

    def __init__(
        self,
        queue: Queue,
        reconciler: Reconciler,
        telemetry: Telemetry,
        *,
        facts: Callable[[ServiceKey], Awaitable[Facts]],
    ) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._telemetry = telemetry
        self._facts = facts

    async def run(self) -> None:
        """Reconciles services until it is cancelled."""
        while True:
            key = await self._queue.get()
            try:
                await self._reconcile(key)
            finally:
                self._queue.done(key)

    async def _reconcile(self, key: ServiceKey) -> None:
        started, outcome = time.monotonic(), "done"
        try:
            facts = await self._facts(key)
            outcome = self._requeue(key, await self._reconciler.reconcile(key, facts))
        except ApiError as error:
            outcome = self._requeue_after_error(key, error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Kopf failed, and on its way out cancelled a request of this reconciliation.
            outcome = "retry"
            self._queue.retry(key)
        except Exception:
            # A bug that one service triggers must not stop the others; the log has the traceback.
            outcome = "error"
            self._queue.retry(key, min_delay=BUG_RETRY_SECONDS)
            _log.exception("reconciliation crashed", service=key.name, namespace=key.namespace)
        finally:
            self._telemetry.reconciliations.labels(outcome).observe(time.monotonic() - started)

    def _requeue(self, key: ServiceKey, result: ReconcileResult) -> str:
        """Requeues a service if its reconciliation requires it; returns the outcome."""
        if result.progressed or not result.failed:
            # If it made progress, the back-off starts from its floor again.
            self._queue.succeeded(key)
        if result.failed:
            self._queue.retry(key, min_delay=result.min_delay)
        elif result.requeue_after is not None:
            self._queue.add(key, delay=result.requeue_after)
        return "retry" if result.failed else "done"

    def _requeue_after_error(self, key: ServiceKey, error: ApiError) -> str:
        log = _log.bind(service=key.name, namespace=key.namespace, error=str(error))
        if error.status == 404 or error.namespace_is_terminating:
            # The service was deleted between the event and the write of its status.
            log.info("service is deleted")
            return "gone"
        if error.temporary:
            delay = self._queue.retry(key, min_delay=error.retry_after_seconds)
            log.warning("reconciliation failed", retry_in_seconds=round(delay, 1))
            return "retry"
        delay = self._queue.retry(key, min_delay=REFUSED_RETRY_SECONDS)
        log.error("reconciliation refused", retry_in_seconds=round(delay, 1))
        return "refused"
