"""Applies the numbers of the FastAPI Operator in an application.

    from fastapi_operator_runtime import install

    app = FastAPI(lifespan=lifespan)
    install(app)

`database` and `cache` create SQLAlchemy engines and Redis clients from the same settings. They need
the extras `sqlalchemy` and `redis`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi_operator_runtime.installation import Options, install
    from fastapi_operator_runtime.settings import RuntimeSettings, SettingsError

__all__ = ["Options", "RuntimeSettings", "SettingsError", "install"]

_MODULES = {
    "Options": "installation",
    "install": "installation",
    "RuntimeSettings": "settings",
    "SettingsError": "settings",
}


def __getattr__(name: str) -> Any:
    """Imports a name on first use: migrations need no FastAPI, test servers no pydantic."""
    if name in _MODULES:
        module = importlib.import_module(f"fastapi_operator_runtime.{_MODULES[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
