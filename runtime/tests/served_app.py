"""The application that the tests run in a real uvicorn."""

import asyncio
import time

import structlog
from fastapi import FastAPI

from fastapi_operator_runtime import Options, install

app = FastAPI()


@app.get("/fast/{number}")
async def fast(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/slow")
async def slow(seconds: float = 1.0) -> dict[str, float]:
    await asyncio.sleep(seconds)
    return {"seconds": seconds}


@app.get("/blocking")
async def blocking(seconds: float = 1.0) -> dict[str, float]:
    time.sleep(seconds)  # noqa: ASYNC251 (the fault that the watchdog must find)
    return {"seconds": seconds}


@app.get("/logs")
async def logs() -> None:
    structlog.stdlib.get_logger("served_app").info("inside")


install(app)

draining = FastAPI()
draining.add_api_route("/fast/{number}", fast)
draining.add_api_route("/slow", slow)
install(draining, options=Options(drain_delay_seconds=3.0))


@app.get("/busy")
async def busy() -> dict[str, int]:
    end = time.thread_time() + 0.02
    count = 0
    while time.process_time() < end:
        count += 1
    return {"count": count}


limited = FastAPI()
limited.add_api_route("/busy", busy)
install(limited)

stuck = FastAPI()
stuck.add_api_route("/busy", busy)
stuck.add_api_route("/blocking", blocking)
stuck.add_api_route("/fast/{number}", fast)
install(stuck, options=Options(stuck_seconds=2.0))
