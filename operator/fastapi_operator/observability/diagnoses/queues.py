"""The queue for database connections, which rules on several parts use."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.samples import NOTHING, Histogram
from fastapi_operator.observability.signals import Pool, Signals


def queues_for_pool(pool: Pool) -> bool:
    """Whether checkouts wait too long for a connection."""
    return pool.waits.quantile(0.95) > bounds.POOL_WAIT_SECONDS


def queued(signals: Signals) -> float:
    """The mean number of checkouts that wait, in the pools of all pods."""
    return sum(pod.pool.waiting for pod in signals.app if pod.pool)


def held(signals: Signals) -> Histogram:
    """The times for which connections were held, in all pods."""
    return sum((pod.pool.holds for pod in signals.app if pod.pool), NOTHING)
