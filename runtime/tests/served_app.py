"""The application that the tests run in a real uvicorn."""

import asyncio
import time

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


install(app)

draining = FastAPI()
draining.add_api_route("/fast/{number}", fast)
draining.add_api_route("/slow", slow)
install(draining, options=Options(drain_delay_seconds=3.0))
