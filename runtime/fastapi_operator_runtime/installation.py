"""`install(app)`: adds the parts of the runtime to a FastAPI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Lifespan

from fastapi_operator_runtime import (
    accepting,
    batches,
    canonical,
    drain,
    errors,
    garbage,
    health,
    heartbeat,
    limits,
    listener,
    logs,
    metrics,
    probes,
    profiling,
    requests,
    sampling,
    settings,
    state,
)

DRAIN_DELAY_SECONDS = 25.0
"""Three failed probes on PROBE_PORT, 5 s apart, the time until no proxy uses the pod, and
`drain.QUIET_SECONDS`."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Selects the parts of the runtime. They are independent, and enabled by default."""

    health: bool = True
    metrics: bool = True
    logs: bool = True
    request_ids: bool = True
    in_flight_limit: bool = True
    priority_paths: Sequence[str] = ()
    """Paths that the in-flight limit sheds last, beside PRIORITY_PATHS, for example `/checkout` or
    `/orders/{order_id}/payment`; a path includes all paths below it."""
    thread_tokens: bool = True
    accept_bursts: bool = True
    """Whether uvloop accepts several new connections at once, beside busy ones."""
    short_collections: bool = True
    """Whether garbage collections leave out the objects that exist once the app has started."""
    profiling: bool = True
    """Whether DIAGNOSTICS_PORT serves stacks and profiles."""
    errors: bool = True
    """Whether errors are reported to SENTRY_DSN, if that is set."""
    drain: bool = True
    drain_delay_seconds: float | None = None
    """Longest time between SIGTERM and the server's stop. The server stops earlier, as soon as no
    request has come for five seconds. None: 25 if PROBE_PORT is set, otherwise 0."""
    stall_seconds: float | None = 1.0
    """Time after which the stack of a blocked event loop is logged; None disables it."""
    stuck_seconds: float = 20.0
    """Time after which a blocked event loop makes liveness false on PROBE_PORT."""


def install(
    app: FastAPI,
    config: settings.RuntimeSettings | None = None,
    *,
    options: Options | None = None,
    checks: Mapping[str, health.Check] | None = None,
) -> settings.RuntimeSettings:
    """Applies the environment contract to `app`.

    Middleware is wrapped, whether the application adds it before or after this call.

    Args:
        app: The application, before its first request.
        config: The contract; if absent, it is read from the environment.
        options: Parts to disable.
        checks: Dependencies for readiness. If all pods share a dependency, a short failure of it
            makes every pod unready, so this is usually empty.

    Returns:
        The settings in effect.

    Raises:
        settings.SettingsError: An environment variable has a value that is not valid.
    """
    config = settings.RuntimeSettings.load() if config is None else config
    options = options or Options()
    if app.middleware_stack is not None:
        raise RuntimeError("install(app) must be called before the application's first request")
    worker = state.Worker(config)
    app.state.worker = worker
    output = logs.configure(config) if options.logs else None
    lines = canonical.Writer(output, config.service_name) if output is not None else None
    if options.errors:
        errors.configure(config)
    instruments = metrics.instruments() if options.metrics else None
    profiles = options.profiling and config.diagnostics_port is not None
    profiler = profiling.RequestProfiler() if profiles else None
    dependencies = health.Checks(checks)
    if options.in_flight_limit:
        app.add_exception_handler(limits.Overloaded, limits.respond_overloaded)
    _wrap_stack(app, worker, instruments, lines, profiler, options, dependencies)
    _wrap_lifespan(app, worker, instruments, profiler, options, dependencies)
    return config


def _wrap_stack(
    app: FastAPI,
    worker: state.Worker,
    instruments: metrics.Instruments | None,
    lines: canonical.Writer | None,
    profiler: profiling.RequestProfiler | None,
    options: Options,
    checks: health.Checks,
) -> None:
    """Puts probes first, then the observation and the limit, then the application's own stack.

    The stack itself is wrapped, instead of `add_middleware`, so that error responses from outside
    the user's middleware are observed too, and no host check or login precedes the probes.
    """
    build = app.build_middleware_stack
    config = worker.settings
    limit = None
    if options.in_flight_limit and config.max_in_flight is not None:
        limit = limits.AdaptiveLimit(config.max_in_flight_min, config.max_in_flight)
        sampling.watch(limit)

    def build_middleware_stack() -> ASGIApp:
        stack = build()
        if profiler is not None:
            profiler.app = stack
            stack = profiler
        limiter = None
        if limit is not None:
            limiter = limits.Limiter(
                worker=worker,
                limit=limit,
                read_ages=config.trust_request_start,
                priority_paths=(*config.priority_paths, *options.priority_paths),
                on_shed=instruments.on_shed if instruments else None,
            )
        stack = requests.Requests(
            stack,
            worker=worker,
            limiter=limiter,
            instruments=instruments,
            lines=lines,
            request_ids=options.request_ids,
        )
        if options.health:
            stack = health.HealthEndpoints(stack, worker=worker, checks=checks)
        return stack

    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]


def _wrap_lifespan(
    app: FastAPI,
    worker: state.Worker,
    instruments: metrics.Instruments | None,
    profiler: profiling.RequestProfiler | None,
    options: Options,
    checks: health.Checks,
) -> None:
    inner: Lifespan[Any] = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(batches.flush)
            if options.accept_bursts:
                stack.callback(accepting.accept_bursts(asyncio.get_running_loop()))
            if options.thread_tokens and worker.settings.thread_tokens is not None:
                limits.set_thread_tokens(worker.settings.thread_tokens)
            if instruments is not None:
                sampler = sampling.Sampler(instruments, stall_seconds=options.stall_seconds)
                sampler.start()
                stack.push_async_callback(sampler.stop)
            beating = _heartbeat(worker, options, checks)
            if beating is not None:
                beating.start()
                stack.push_async_callback(beating.stop)
            for server in _listeners(worker, instruments, profiler, beating, options):
                server.start()
                stack.callback(server.stop)
            yielded = await stack.enter_async_context(inner(app))
            if options.short_collections:
                stack.enter_context(garbage.without_present_objects())
            if options.drain:
                handler = drain.Drain(worker, delay_seconds=_drain_delay_seconds(worker, options))
                handler.install()
                stack.callback(handler.restore)
            worker.started = True
            if beating is not None:
                beating.beat()
            stack.callback(_stopped, worker)
            yield yielded

    app.router.lifespan_context = lifespan


def _drain_delay_seconds(worker: state.Worker, options: Options) -> float:
    if options.drain_delay_seconds is not None:
        return options.drain_delay_seconds
    probed = options.health and worker.settings.probe_port is not None
    return DRAIN_DELAY_SECONDS if probed else 0.0


def _heartbeat(
    worker: state.Worker, options: Options, checks: health.Checks
) -> heartbeat.Heartbeat | None:
    """Returns the heartbeat of this worker; None if there is no probe port."""
    if not options.health or worker.settings.probe_port is None:
        return None
    return heartbeat.Heartbeat(
        worker,
        heartbeat.Reports(worker.settings.prometheus_multiproc_dir),
        check=checks.failed if checks else None,
        check_seconds=health.CHECK_CACHE_SECONDS,
    )


def _listeners(
    worker: state.Worker,
    instruments: metrics.Instruments | None,
    profiler: profiling.RequestProfiler | None,
    beating: heartbeat.Heartbeat | None,
    options: Options,
) -> Iterator[listener.Listener]:
    """Yields the listeners of probes, metrics and diagnostics, which never share a port."""
    config = worker.settings
    if beating is not None and config.probe_port is not None:
        found = probes.ProbePages(beating.reports, stuck_seconds=options.stuck_seconds)
        yield listener.Listener("PROBE_PORT", config.probe_port, found.pages())
    if instruments is not None and config.metrics_port is not None:
        exposition = metrics.Exposition()
        yield listener.Listener("METRICS_PORT", config.metrics_port, {"/metrics": exposition.page})
    if profiler is not None and config.diagnostics_port is not None:
        pages = profiling.Profiler(asyncio.get_running_loop(), profiler).pages()
        yield listener.Listener(
            "DIAGNOSTICS_PORT", config.diagnostics_port, pages, loopback=True, exclusive=True
        )


def _stopped(worker: state.Worker) -> None:
    worker.draining = True
    worker.started = False
