"""One route with JSON of 20 items: alone, with the usual libraries, and with the runtime.

Each is a factory, because each configures the logging of its process.
"""

import logging
import logging.config

from fastapi import FastAPI
from pydantic import BaseModel


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
    install(app)
    return app
