"""JSON logs on standard output: one format for structlog and for the standard library.

On a terminal the same events are printed for reading. Local variables are never part of a
traceback: they hold passwords and tokens.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from fastapi_operator_runtime import settings

REQUEST_LOGGER = "fastapi_operator_runtime.request"
SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "gunicorn.error", "granian")
ACCESS_LOGGERS = ("uvicorn.access", "gunicorn.access", "granian.access")
CHATTY_LOGGERS = ("httpx", "httpx2")
"""They write each outgoing URL at INFO, query and all: tokens end up in logs."""

Processor = Any  # structlog's own alias needs its private typing module


def configure(config: settings.RuntimeSettings) -> None:
    """Send every log record of this process to standard output in one format.

    Access logs of the servers are switched off: the runtime writes one line a request itself,
    which knows the route, the request id and the trace.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _drop_colour,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(config),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(config.log_level.upper())
    for name in SERVER_LOGGERS:
        server = logging.getLogger(name)
        server.handlers = []
        server.propagate = True
    for name in CHATTY_LOGGERS:
        if config.log_level == "info" and logging.getLogger(name).level == logging.NOTSET:
            logging.getLogger(name).setLevel(logging.WARNING)
    for name in ACCESS_LOGGERS:
        access = logging.getLogger(name)
        access.handlers = []
        access.propagate = False


def _rendering(config: settings.RuntimeSettings) -> list[Processor]:
    if sys.stdout.isatty():
        return [structlog.dev.ConsoleRenderer()]
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
    return [
        _name_service(config.service_name),
        structlog.processors.ExceptionRenderer(tracebacks),
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(),
    ]


def _name_service(name: str) -> Processor:
    def add(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault("service.name", name)
        return event

    return add


def _drop_colour(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Uvicorn sends each message twice, the second time with escape codes for a terminal."""
    event.pop("color_message", None)
    return event
