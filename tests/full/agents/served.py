"""The app of tests/full/test_agents.py."""

import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/items/{item_id}")
async def read_item(item_id: int) -> dict[str, int]:
    """Returns the item and the process that served it."""
    return {"item": item_id, "process": os.getpid()}
