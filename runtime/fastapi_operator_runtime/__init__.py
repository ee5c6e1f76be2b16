"""Makes the numbers of the FastAPI Operator take effect in an application.

    from fastapi_operator_runtime import install

    app = FastAPI(lifespan=lifespan)
    install(app)

`database` and `cache` make SQLAlchemy engines and Redis clients of the same settings; they need
the extras `sqlalchemy` and `redis`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi_operator_runtime.settings import RuntimeSettings, SettingsError

if TYPE_CHECKING:
    from fastapi_operator_runtime.installation import Options, install

__all__ = ["Options", "RuntimeSettings", "SettingsError", "install"]


def __getattr__(name: str) -> Any:
    """Import `install` when it is asked for: migrations and scripts need no FastAPI."""
    if name in ("Options", "install"):
        from fastapi_operator_runtime import installation

        return getattr(installation, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
