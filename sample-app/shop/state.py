"""The resources that a process opens at startup and closes at shutdown."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import TypedDict

from fastapi import FastAPI
from fastapi_operator_runtime import cache as runtime_cache
from fastapi_operator_runtime import database
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from shop import cache, local_cache, passwords, settings


class State(TypedDict):
    """The typed lifespan state, which endpoints read from `request.state`."""

    settings: settings.Settings
    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    cache: cache.Cache
    passwords: passwords.PasswordHasher
    processes: ProcessPoolExecutor | None


def lifespan(
    config: settings.Settings,
) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    """Returns a lifespan that opens all resources in the worker's own event loop, after any fork.

    They are closed in reverse order, also if startup fails halfway.
    """

    @contextlib.asynccontextmanager
    async def run(_app: FastAPI) -> AsyncIterator[State]:
        async with contextlib.AsyncExitStack() as stack:
            engine = database.create_engine(config)
            stack.push_async_callback(engine.dispose)
            store = _open_cache(config, stack)
            processes = None
            if config.labs:
                # Spawn, because a fork would copy the event loop's threads and sockets.
                spawn = multiprocessing.get_context("spawn")
                processes = ProcessPoolExecutor(config.cpu_processes, mp_context=spawn)
                stack.callback(processes.shutdown, cancel_futures=True)
            yield State(
                settings=config,
                engine=engine,
                # Objects stay readable after the commit, without a hidden query at serialisation.
                sessions=async_sessionmaker(engine, expire_on_commit=False),
                cache=store,
                passwords=passwords.PasswordHasher(config.password_hash_threads),
                processes=processes,
            )

    return run


def _open_cache(config: settings.Settings, stack: contextlib.AsyncExitStack) -> cache.Cache:
    if config.redis_url is None:
        return cache.Cache(None, ttl_seconds=config.cache_ttl_seconds)
    redis = runtime_cache.create_redis(config)
    stack.push_async_callback(redis.aclose)
    if config.local_cache_seconds == 0:
        return cache.Cache(redis, ttl_seconds=config.cache_ttl_seconds)
    local = local_cache.LocalCache(config.local_cache_seconds)
    store = cache.Cache(redis, ttl_seconds=config.cache_ttl_seconds, local=local)
    subscription = runtime_cache.create_redis(config, max_connections=1)
    listener = local_cache.Listener(subscription, local, store.changed)
    listener.start()
    stack.push_async_callback(listener.stop)
    return store
