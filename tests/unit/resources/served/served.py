"""The application that the tests of the servers run, in the app's own environment."""

import asyncio

from fastapi import FastAPI, Request
from fastapi_operator_runtime import install

app = FastAPI()


@app.get("/client")
async def client(request: Request) -> dict[str, str]:
    return {
        "host": request.client.host if request.client else "",
        "url": str(request.url_for("client")),
    }


@app.get("/slow")
async def slow(seconds: float) -> dict[str, float]:
    await asyncio.sleep(seconds)
    return {"seconds": seconds}


install(app)
