"""SQLAlchemy engines with the operator's pool sizes, for PgBouncer in transaction mode.

A connection must not carry server settings except `application_name`: PgBouncer rejects them or
ignores them. The operator sets them on the role instead.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import sqlalchemy
from sqlalchemy import event, exc, pool
from sqlalchemy.ext import asyncio as sqlalchemy_asyncio

from fastapi_operator_runtime import limits, metrics, sampling, settings, transactions, waits

POOL_NAME = "database"
USE_SHARE = 0.1
"""Weight of the last use of a connection in their mean."""

# SQLAlchemy logs the events of a pool at INFO under the module of its class. Its own modules are
# silent because their parent `sqlalchemy` is set to WARNING.
logging.getLogger(__name__).setLevel(logging.WARNING)

# Options of a libpq URL, and their names in asyncpg.
_SSL_OPTION = "sslmode"
_TIMEOUT_OPTION = "connect_timeout"
_NAME_OPTION = "application_name"


def create_engine(
    config: settings.RuntimeSettings, *, observe: bool = True, **overrides: Any
) -> sqlalchemy_asyncio.AsyncEngine:
    """Creates an engine for DATABASE_URL with the sizes and timeouts of the contract.

    Args:
        config: The environment contract.
        observe: Whether to export the pool's metrics.
        **overrides: Arguments of `sqlalchemy.ext.asyncio.create_async_engine` that take precedence.

    Raises:
        settings.SettingsError: DATABASE_URL is absent or has an option that asyncpg rejects.
    """
    options = {**engine_options(config), **overrides}
    engine = sqlalchemy_asyncio.create_async_engine(async_url(config), **options)
    transactions.keep_beginning(engine)
    if observe and isinstance(engine.pool, ObservedPool):
        engine.pool.observe()
    return engine


def engine_options(config: settings.RuntimeSettings) -> dict[str, Any]:
    """Returns the arguments for a `create_async_engine` call in the application."""
    return {
        "poolclass": ObservedPool,
        "pool_size": config.database_pool_size,
        "max_overflow": config.database_max_overflow,
        "pool_timeout": config.database_pool_timeout_seconds,
        "pool_recycle": config.database_pool_recycle_seconds,
        # It hides restarts of the database and of the pooler.
        "pool_pre_ping": True,
        # The most recently used connection first, so that idle ones time out if load is low.
        "pool_use_lifo": True,
        "connect_args": {
            "timeout": config.database_pool_timeout_seconds,
            "server_settings": {"application_name": config.application_name},
        },
    }


def async_url(config: settings.RuntimeSettings) -> sqlalchemy.URL:
    """Returns DATABASE_URL for asyncpg; libpq's `sslmode` becomes asyncpg's `ssl`.

    Raises:
        settings.SettingsError: DATABASE_URL is absent or cannot be used.
    """
    if config.database_url is None:
        raise settings.SettingsError("DATABASE_URL is not set; set it to a postgresql:// URL")
    try:
        url = sqlalchemy.make_url(config.database_url.get_secret_value())
    except exc.ArgumentError:
        raise settings.SettingsError("DATABASE_URL=***: cannot be parsed as a URL") from None
    query = dict(url.query)
    if _SSL_OPTION in query:
        query["ssl"] = query.pop(_SSL_OPTION)
    # Both have their own setting here; asyncpg would reject the names of libpq.
    for name in (_TIMEOUT_OPTION, _NAME_OPTION):
        query.pop(name, None)
    return url.set(drivername="postgresql+asyncpg", query=query)


class Saturated(exc.TimeoutError, limits.Overloaded):
    """No connection of the pool is free in time; if that is known, the checkout does not wait."""


class ObservedPool(pool.AsyncAdaptedQueuePool):
    """The usual pool, which also measures the wait for a checkout and the use of a connection.

    A checkout that would wait longer than the timeout of the pool fails at once: the wait would be
    for nothing, at a moment when there is no time.
    """

    _metrics: metrics.Instruments | None = None
    _waiting = 0
    _mean_use_seconds = 0.0

    def observe(self, instruments: metrics.Instruments | None = None) -> None:
        """Starts to export the metrics of this pool."""
        self._metrics = instruments or metrics.instruments()
        self._wait_seconds = self._metrics.pool_wait_seconds
        self._use_seconds = self._metrics.pool_use_seconds
        self._timeouts = self._metrics.pool_timeouts.labels(POOL_NAME)
        self._pending = self._metrics.pool_pending.labels(POOL_NAME)
        event.listen(self, "checkout", self._on_checkout)
        event.listen(self, "checkin", self._on_checkin)
        sampling.watch(self)

    def connect(self) -> pool.PoolProxiedConnection:
        """Checks a connection out, and measures the duration.

        Raises:
            Saturated: All connections are in use, and none was or will be free within the timeout.
        """
        if self._metrics is None:
            return super().connect()
        self._refuse_if_late()
        started_at = time.perf_counter()
        self._waiting += 1
        self._pending.inc()
        try:
            return super().connect()
        except exc.TimeoutError as error:
            self._timeouts.inc()
            raise Saturated(
                f"no connection of the pool was free within {self._timeout:g} s"
            ) from error
        finally:
            self._waiting -= 1
            self._pending.dec()
            seconds = time.perf_counter() - started_at
            self._wait_seconds.observe(seconds, POOL_NAME)
            waits.report(POOL_NAME, seconds)

    def _refuse_if_late(self) -> None:
        connections = self.size() + self._max_overflow
        if self.checkedout() < connections:
            return
        expected = (self._waiting + 1) * self._mean_use_seconds / connections
        if expected > self._timeout:
            self._timeouts.inc()
            waits.report(POOL_NAME, expected)
            raise Saturated(
                f"all {connections} connections of the pool are in use and {self._waiting} "
                f"checkouts wait: a further one would wait {expected:.1f} s, longer than the "
                f"timeout of {self._timeout:g} s"
            )

    def sample(self, instruments: metrics.Instruments) -> None:
        """Updates the gauges of the pool."""
        count = instruments.pool_connections
        count.labels(POOL_NAME, "used").set(self.checkedout())
        count.labels(POOL_NAME, "idle").set(self.checkedin())
        instruments.pool_max.labels(POOL_NAME).set(self.size() + self._max_overflow)

    def _on_checkout(self, _connection: Any, record: Any, _proxy: Any) -> None:
        record.info["fastapi_operator_checkout"] = time.perf_counter()

    def _on_checkin(self, _connection: Any, record: Any) -> None:
        started_at = record.info.pop("fastapi_operator_checkout", None)
        if started_at is not None:
            seconds = time.perf_counter() - started_at
            self._use_seconds.observe(seconds, POOL_NAME)
            self._mean_use_seconds += USE_SHARE * (seconds - self._mean_use_seconds)
