"""An app with the runtime that needs no database and no cache, and is worse by its environment."""

from fastapi import FastAPI
from fastapi_operator_runtime import install
from worse import Worse

app = FastAPI()
install(app)
app.add_middleware(Worse)


@app.get("/items")
async def items() -> list[dict[str, int]]:
    """Lists items."""
    return [{"id": number, "price_cents": 100 * number} for number in range(20)]
