"""An app for any server: it says which worker answers."""

import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/worker")
async def worker() -> dict[str, int]:
    return {"pid": os.getpid()}
