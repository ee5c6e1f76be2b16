"""The canonical log line of a request: all its data, once.

The chain of structlog costs as much as a small request. Therefore the line of a usual request is
formatted here, with the same result, and written in batches. The others are logged as usual: errors
of the server, and all lines if the application has changed the log.
"""

from __future__ import annotations

import contextvars
import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from fastapi_operator_runtime import ids, logs

if TYPE_CHECKING:
    from fastapi_operator_runtime import requests

_quoted = json.encoder.encode_basestring_ascii
_as_json = structlog.processors.JSONRenderer()


class Writer:
    """Writes the lines.

    Args:
        output: The handler of the log, as `logs.configure` has returned it.
        service_name: The name of the service in each line.
    """

    def __init__(self, output: logs.Output, service_name: str) -> None:
        self._output = output
        self._formatter = output.formatter
        self._processors = structlog.get_config()["processors"]
        self._logger = logging.getLogger(logs.REQUEST_LOGGER)
        self._log = structlog.stdlib.get_logger(logs.REQUEST_LOGGER)
        self._end = (
            f'"logger": "{logs.REQUEST_LOGGER}", "level": "info", '
            f'"service.name": {_quoted(service_name)}, "message": "request", "timestamp": "'
        )
        self._second = 0
        self._second_text = ""
        self._unchanged = self._is_enabled = False

    def write(self, request: requests.Request) -> None:
        """Writes a line within a tenth of a second; if it is logged as usual, at once."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._unchanged = self._output.json and self._is_unchanged()
            self._is_enabled = self._logger.isEnabledFor(logging.INFO)
        if self._unchanged and request.status < 500 and request.error is None:
            bound = self._bound(request.context)
            if bound is not None:
                if self._is_enabled:
                    self._output.add(self._format(request, bound, int((now - second) * 1e6)))
                return
        level = logging.ERROR if request.status >= 500 else logging.INFO
        self._log.log(level, "request", **fields(request))

    def _bound(self, own: Mapping[str, str]) -> str | None:
        """Returns the fields from the context of the log; None if they replace others."""
        bound = ""
        changed = len(contextvars.copy_context()) != len(own)
        for name, value in own.items():
            changed = changed or ids.VARIABLES[name].get(None) is not value
            bound += f'"{name}": "{value}", '
        if changed:  # the application may have bound values
            context = structlog.contextvars.get_contextvars()
            if not _FIELDS.isdisjoint(context):
                return None
            if context != own:
                return f"{str(_as_json(None, '', dict(context)))[1:-1]}, "
        return bound

    def _format(self, found: requests.Request, bound: str, microseconds: int) -> str:
        """Returns the line as the chain of `logs.configure` formats it."""
        scope, route, client = found.scope, found.route, found.client
        thousandths = int(found.seconds * 1e6 + 0.5)  # a float takes five times as long
        return (
            f'{{"http.request.method": {_quoted(scope["method"])}, '
            f'"http.route": {_quoted(route) if route is not None else "null"}, '
            f'"url.path": {_quoted(scope["path"])}, "http.response.status_code": {found.status}, '
            f'"http.response.body.size": {found.body_bytes}, '
            f'"duration_ms": {thousandths // 1000}.{thousandths % 1000:03d}, '
            f'"client.address": {_quoted(client) if client is not None else "null"}, '
            f'{bound}{self._end}{self._second_text}{microseconds:06d}Z"}}\n'
        )

    def _is_unchanged(self) -> bool:
        """Returns whether a record of the logger would go to the output only, in its format."""
        loggers = list(_with_parents(self._logger))
        root = loggers[-1]
        return (
            root.handlers == [self._output]
            and not any(found.handlers for found in loggers[:-1])
            and all(found.propagate for found in loggers[:-1])
            and not self._logger.filters
            and not self._output.filters
            and self._output.formatter is self._formatter
            and structlog.get_config()["processors"] is self._processors
        )


def fields(found: requests.Request) -> dict[str, Any]:
    """Returns the fields of a line, without those of the context."""
    fields = {
        "http.request.method": found.scope["method"],
        "http.route": found.route,
        "url.path": found.scope["path"],
        "http.response.status_code": found.status,
        "http.response.body.size": found.body_bytes,
        "duration_ms": round(found.seconds * 1000, 3),
        "client.address": found.client,
    }
    if found.error is not None:
        fields["error.type"] = found.error
    return fields


# The application can bind values with these names, which the chain of structlog merges.
_FIELDS = frozenset(
    {
        *("http.request.method", "http.route", "url.path", "http.response.status_code"),
        *("http.response.body.size", "duration_ms", "client.address", "error.type"),
        *("logger", "level", "service.name", "message", "event", "timestamp"),
        *("exc_info", "stack_info", "exception", "color_message"),
    }
)


def _with_parents(logger: logging.Logger) -> Iterator[logging.Logger]:
    found: logging.Logger | None = logger
    while found is not None:
        yield found
        found = found.parent
