"""JSON logs on standard output: one format for structlog, the standard library and loguru.

If the output is a terminal, events are printed for people. Tracebacks never include local
variables, because these can contain passwords and tokens.
"""

from __future__ import annotations

import collections
import logging
import select
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import structlog

from fastapi_operator_runtime import batches, settings

REQUEST_LOGGER = "fastapi_operator_runtime.request"
SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "gunicorn.error", "granian")
ACCESS_LOGGERS = ("uvicorn.access", "gunicorn.access", "granian.access")
URL_LOGGERS = ("httpx", "httpx2")
"""They log each outgoing URL with its query at INFO, which can contain tokens."""
STANDARD_LEVELS = (
    logging.DEBUG,
    logging.INFO,
    logging.WARNING,
    logging.ERROR,
    logging.CRITICAL,
)

Processor = Any  # structlog's own alias needs its private typing module


class Output(logging.StreamHandler[TextIO]):
    """Standard output: a record is written at once, and lines of requests in batches.

    A record is never written before the lines of earlier requests. A batch is as large as a pipe
    takes in one piece, so that lines of several workers are not mixed. The event loop writes it: if
    a thread wrote it, both would wait for the interpreter's lock at each.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.json = not stream.isatty()
        self._lines: collections.deque[str] = collections.deque()
        self._size = 0
        batches.watch(self)

    def add(self, line: str) -> None:
        """Queues a line, which must be ASCII."""
        self._size += len(line)
        if self._size > select.PIPE_BUF:
            self.flush()
            self._size = len(line)
        self._lines.append(line)
        batches.wake()

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the queued lines and the record."""
        self._write_lines()
        super().emit(record)

    def flush(self) -> None:
        """Writes the queued lines, and what the stream has buffered."""
        self.acquire()
        try:
            self._write_lines()
            if not self.stream.closed:
                super().flush()
        finally:
            self.release()

    def _write_lines(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        self._size = 0
        for piece in _pieces(lines):
            self.stream.write(piece)
            self.stream.flush()


def _pieces(lines: list[str]) -> Iterator[str]:
    """Joins lines, up to the size that a pipe takes in one piece."""
    text = "".join(lines)
    if len(text) > select.PIPE_BUF and len(lines) > 1:
        middle = len(lines) // 2
        yield from _pieces(lines[:middle])
        yield from _pieces(lines[middle:])
    elif text:
        yield text


def configure(config: settings.RuntimeSettings) -> Output:
    """Sends every log record of this process to standard output in one format.

    Access logs of the servers are disabled: the runtime writes one line per request itself, with
    the route, the request id and the trace.
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
    handler = Output(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(config, json=handler.json),
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
    for name in URL_LOGGERS:
        if config.log_level == "info" and logging.getLogger(name).level == logging.NOTSET:
            logging.getLogger(name).setLevel(logging.WARNING)
    for name in ACCESS_LOGGERS:
        access = logging.getLogger(name)
        access.handlers = []
        access.propagate = False
    return handler


def intercept_loguru() -> None:
    """Sends loguru records of the application through the same format.

    It replaces every existing loguru handler. `LOG_LEVEL` selects the records. If a level does not
    exist in the standard library, the level below it is used: SUCCESS becomes info.

    Raises:
        ImportError: loguru is not installed.
    """
    import loguru

    # With `diagnose`, loguru would print the values of local variables.
    handler: Any = {"sink": _log_of_loguru, "format": "{message}", "level": 0}
    loguru.logger.configure(handlers=[handler | {"backtrace": False, "diagnose": False}])


def _log_of_loguru(message: Any) -> None:
    """A loguru sink. It runs in the context of the record, so it has the request."""
    record = message.record
    number = record["level"].no
    level = max((known for known in STANDARD_LEVELS if known <= number), default=logging.DEBUG)
    log = structlog.stdlib.get_logger(record["name"] or "loguru").bind(**record["extra"])
    error = record["exception"]
    log.log(level, record["message"], **({"exc_info": tuple(error)} if error else {}))


def _rendering(config: settings.RuntimeSettings, *, json: bool) -> list[Processor]:
    if not json:
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
    """Drops the second copy of each uvicorn message, which has escape codes for a terminal."""
    event.pop("color_message", None)
    return event
