"""An app that refuses unknown hosts and redirects to https."""

from fastapi import FastAPI
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

app = FastAPI()
app.add_middleware(HTTPSRedirectMiddleware)
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["shop.example.com", "*.shops.example"])


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "up"}
