"""An app for any server: it says which worker answers, in each way that a proxy may spoil."""

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
    await client.send_text(f"you said {await client.receive_text()}")
    await client.close()
