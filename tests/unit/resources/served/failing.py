"""An app whose handlers and background tasks raise; with the runtime and without it."""

import asyncio

from fastapi import BackgroundTasks, FastAPI
from fastapi_operator_runtime import install


async def broken() -> None:
    await asyncio.sleep(0.01)
    raise RuntimeError("not handled")


async def later(tasks: BackgroundTasks) -> None:
    tasks.add_task(broken)


async def works() -> None:
    # In progress while the background task of the last request raises.
    await asyncio.sleep(0.03)


def make() -> FastAPI:
    app = FastAPI()
    app.post("/fails")(broken)
    app.post("/later")(later)
    app.post("/works")(works)
    app.get("/works")(works)
    return app


unmodified, app = make(), make()
install(app)
