"""The application behind a proxy: a response shows the reached route and its request."""

from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route


def shown(area: str, request: Request, **more: object) -> Response:
    raw: bytes = request.scope["raw_path"]
    seen = {
        "area": area,
        "path": request.scope["path"],
        "raw_path": raw.decode("latin-1"),
        "query": request.scope["query_string"].decode("latin-1"),
        "headers": [[k.decode("latin-1"), v.decode("latin-1")] for k, v in request.headers.raw],
    }
    return JSONResponse(seen | more)


async def private(request: Request) -> Response:
    return shown("private", request)


async def public(request: Request) -> Response:
    return shown("public", request)


async def echo(request: Request) -> Response:
    return shown("public", request, body=(await request.body()).decode("latin-1"))


mounted = Starlette(routes=[Route("/{rest:path}", private)])
app = FastAPI()
app.router.routes += [
    Mount("/metrics", mounted),
    Route("/admin", private),
    Route("/admin/{rest:path}", private),
    Route("/team/{name}/keys", private),
    Route("/echo", echo, methods=["GET", "POST", "PUT", "DELETE", "PATCH"]),
    Route("/files/{rest:path}", public),
    Route("/items/{item}", public),
    Route("/{page}", public),
    Route("/", public),
]
