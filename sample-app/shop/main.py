"""The application: `shop.main:app`."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi_operator_runtime import install
from fastapi_operator_runtime.health import is_probe

import shop.auth.router
import shop.items.router
import shop.labs.router
import shop.orders.router
import shop.users.router
from shop import body_limit, problems, settings, state


def create_app(config: settings.Settings | None = None) -> FastAPI:
    """Builds the application.

    Args:
        config: The settings; if None, they are read from the environment.

    Raises:
        fastapi_operator_runtime.SettingsError: A variable has an invalid value.
    """
    config = settings.Settings.load() if config is None else config
    app = FastAPI(
        title="Shop",
        version="0.1.0",
        lifespan=state.lifespan(config),
        max_body_size=config.max_body_bytes,
        # FastAPI's own traces and metrics. FASTAPI_OTEL_AUTO_CONFIGURE and OTEL_* enable them.
        telemetry={"exclude": is_probe},
    )
    problems.install(app)
    for part in (shop.auth, shop.users, shop.items, shop.orders):
        app.include_router(part.router.router)
    if config.labs:
        app.include_router(shop.labs.router.router)
    body_limit.install(app, config.max_body_bytes)
    install(app, config)
    return app


app = create_app()
