"""One route with JSON of 20 items: alone, with the usual libraries, and with the runtime.

Each is a factory, because each configures the logging of its process.
"""

import itertools
import logging
import logging.config
import os
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

# The requests of a batch of the runtime at full load: 3,700 a second for 50 ms.
BATCH = 185
# A request wakes the writer of batches at its start, for its duration and for its line of the log.
_WAKES = 3


class Item(BaseModel):
    number: int
    name: str
    price: float
    tags: list[str]


async def items() -> list[Item]:
    """Validates and serialises 20 objects."""
    return [
        Item(number=number, name=f"item {number}", price=number / 7, tags=["a", "b"])
        for number in range(20)
    ]


def bare() -> FastAPI:
    """Returns the application alone."""
    app = FastAPI()
    app.add_api_route("/items", items, methods=["GET"])
    return app


def peers() -> FastAPI:
    """Returns it with request ids, metrics, and the ids in the access log."""
    from asgi_correlation_id import (  # noqa: PLC0415 (only this server needs it)
        CorrelationIdFilter,
        CorrelationIdMiddleware,
    )
    from prometheus_fastapi_instrumentator import Instrumentator  # noqa: PLC0415

    app = bare()
    app.add_middleware(CorrelationIdMiddleware)
    Instrumentator().instrument(app).expose(app)
    for handler in logging.getLogger("uvicorn.access").handlers:
        handler.addFilter(CorrelationIdFilter(uuid_length=32))
    return app


def runtime() -> FastAPI:
    """Returns it with the runtime."""
    from fastapi_operator_runtime import install  # noqa: PLC0415 (only this server needs it)

    app = bare()
    install(app, options=_options())
    return app


def shop() -> FastAPI:
    """Returns the sample app, which has the runtime."""
    from shop import main  # noqa: PLC0415 (only this server needs it)

    install = main.install
    main.install = lambda app, config: install(app, config, options=_options())
    return main.create_app()


def _options() -> Any:
    """Returns the options of the runtime, after its timers were adapted to a slowed process."""
    from fastapi_operator_runtime import (  # noqa: PLC0415 (only these servers need it)
        Options,
        batches,
        heartbeat,
        limits,
        sampling,
    )

    slowness = int(os.environ.get("SLOWNESS", "1"))
    if slowness == 1:
        return Options()
    for module in (heartbeat, sampling):
        module.INTERVAL_SECONDS *= slowness
    limits.WINDOW_SECONDS *= slowness
    calls = itertools.count(1)

    def wake() -> None:
        if next(calls) % (BATCH * _WAKES) == 0:
            batches.flush()

    batches.wake = wake
    # Between two beats of a slowed event loop, the watchdog would see a stall.
    return Options(stall_seconds=None)
