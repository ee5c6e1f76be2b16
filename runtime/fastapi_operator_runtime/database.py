"""SQLAlchemy engines with the operator's pool sizes, safe behind PgBouncer's transaction mode.

Server settings other than `application_name` must not travel with the connection: PgBouncer
refuses them, or drops them silently. The operator sets them on the role instead.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import sqlalchemy
from sqlalchemy import event, exc, pool
from sqlalchemy.ext import asyncio as sqlalchemy_asyncio

from fastapi_operator_runtime import metrics, sampling, settings

POOL_NAME = "database"

# SQLAlchemy logs a pool's life at INFO under the module of its class; its own modules are quiet
# because their parent `sqlalchemy` is set to WARNING.
logging.getLogger(__name__).setLevel(logging.WARNING)

# libpq's spelling of a URL's options, and what asyncpg calls them.
_SSL_OPTION = "sslmode"
_TIMEOUT_OPTION = "connect_timeout"
_NAME_OPTION = "application_name"


def create_engine(
    config: settings.RuntimeSettings, *, observe: bool = True, **overrides: Any
) -> sqlalchemy_asyncio.AsyncEngine:
    """An engine for DATABASE_URL with the sizes and timeouts of the contract.

    Args:
        config: The environment contract.
        observe: Whether to export the pool's metrics.
        **overrides: Arguments of `sqlalchemy.ext.asyncio.create_async_engine` that win.

    Raises:
        settings.SettingsError: DATABASE_URL is absent or has an option asyncpg cannot take.
    """
    options = {**engine_options(config), **overrides}
    engine = sqlalchemy_asyncio.create_async_engine(async_url(config), **options)
    if observe and isinstance(engine.pool, ObservedPool):
        engine.pool.observe()
    return engine


def engine_options(config: settings.RuntimeSettings) -> dict[str, Any]:
    """The arguments for `create_async_engine`, for applications that call it themselves."""
    return {
        "poolclass": ObservedPool,
        "pool_size": config.database_pool_size,
        "max_overflow": config.database_max_overflow,
        "pool_timeout": config.database_pool_timeout_seconds,
        "pool_recycle": config.database_pool_recycle_seconds,
        # One round trip a checkout; it hides restarts of the database and of the pooler.
        "pool_pre_ping": True,
        # The most recently used first, so that idle timeouts can shrink the pool off-peak.
        "pool_use_lifo": True,
        "connect_args": {
            "timeout": config.database_pool_timeout_seconds,
            "server_settings": {"application_name": config.application_name},
        },
    }


def async_url(config: settings.RuntimeSettings) -> sqlalchemy.URL:
    """DATABASE_URL for asyncpg; libpq's `sslmode` becomes asyncpg's `ssl`.

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
    # Both have a setting of their own here; asyncpg would refuse libpq's names.
    for name in (_TIMEOUT_OPTION, _NAME_OPTION):
        query.pop(name, None)
    return url.set(drivername="postgresql+asyncpg", query=query)


class ObservedPool(pool.AsyncAdaptedQueuePool):
    """The usual pool, which also measures how long a checkout waits and a connection is held."""

    _metrics: metrics.Instruments | None = None
    _waiting = 0

    def observe(self, instruments: metrics.Instruments | None = None) -> None:
        """Export this pool's metrics from now on."""
        self._metrics = instruments or metrics.instruments()
        self._wait_seconds = self._metrics.pool_wait_seconds.labels(POOL_NAME)
        self._use_seconds = self._metrics.pool_use_seconds.labels(POOL_NAME)
        self._timeouts = self._metrics.pool_timeouts.labels(POOL_NAME)
        self._pending = self._metrics.pool_pending.labels(POOL_NAME)
        event.listen(self, "checkout", self._on_checkout)
        event.listen(self, "checkin", self._on_checkin)
        sampling.watch(self)

    def connect(self) -> pool.PoolProxiedConnection:
        """Check a connection out, and measure how long that took."""
        if self._metrics is None:
            return super().connect()
        started_at = time.perf_counter()
        self._pending.inc()
        try:
            return super().connect()
        except exc.TimeoutError:
            self._timeouts.inc()
            raise
        finally:
            self._pending.dec()
            self._wait_seconds.observe(time.perf_counter() - started_at)

    def sample(self, instruments: metrics.Instruments) -> None:
        """Write the pool's gauges."""
        count = instruments.pool_connections
        count.labels(POOL_NAME, "used").set(self.checkedout())
        count.labels(POOL_NAME, "idle").set(self.checkedin())
        instruments.pool_max.labels(POOL_NAME).set(self.size() + self._max_overflow)

    def _on_checkout(self, _connection: Any, record: Any, _proxy: Any) -> None:
        record.info["fastapi_operator_checkout"] = time.perf_counter()

    def _on_checkin(self, _connection: Any, record: Any) -> None:
        started_at = record.info.pop("fastapi_operator_checkout", None)
        if started_at is not None:
            self._use_seconds.observe(time.perf_counter() - started_at)
