"""An app for any server: it returns its worker, in each way that a proxy can break."""

import asyncio
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse

app = FastAPI()


@app.get("/worker")
async def worker() -> dict[str, int]:
    return {"pid": os.getpid()}


@app.get("/limited", response_class=PlainTextResponse)
async def limited() -> str:
    return "served"


@app.get("/events")
async def events() -> StreamingResponse:
    async def pieces() -> AsyncIterator[str]:
        yield "first\n"
        await asyncio.sleep(3)
        yield "second\n"

    return StreamingResponse(pieces(), media_type="text/event-stream")


@app.websocket("/ws")
async def socket(client: WebSocket) -> None:
    await client.accept()
    await client.send_text(f"received {await client.receive_text()}")
    await client.close()
