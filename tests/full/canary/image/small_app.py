"""An app with the runtime that needs no database and no cache, and is worse by its environment.

| variable | effect |
| --- | --- |
| SMALL_MEMORY_BYTES | memory that each process takes at its start |
| SMALL_BLOCK_SECONDS | how long a request for /items/blocking holds a thread, by default 0.1 s |
"""

import os
import time

from fastapi import FastAPI
from fastapi_operator_runtime import install
from worse import Worse

_TAKEN = b"x" * int(os.environ.get("SMALL_MEMORY_BYTES", "0"))
_BLOCK_SECONDS = float(os.environ.get("SMALL_BLOCK_SECONDS", "0.1"))

app = FastAPI()
install(app)
app.add_middleware(Worse)


@app.get("/items")
async def items() -> list[dict[str, int]]:
    """Lists items."""
    return [{"id": number, "price_cents": 100 * number} for number in range(20)]


@app.get("/items/blocking")
def blocking() -> list[dict[str, int]]:
    """Lists items with a driver that blocks."""
    time.sleep(_BLOCK_SECONDS)
    return [{"id": number, "price_cents": 100 * number} for number in range(20)]
