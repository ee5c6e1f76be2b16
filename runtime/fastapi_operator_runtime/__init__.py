"""Makes the numbers of the FastAPI Operator take effect in an application.

    from fastapi_operator_runtime import install

    app = FastAPI(lifespan=lifespan)
    install(app)

`database` and `cache` make SQLAlchemy engines and Redis clients of the same settings; they need
the extras `sqlalchemy` and `redis`.
"""

from fastapi_operator_runtime.installation import Options, install
from fastapi_operator_runtime.settings import RuntimeSettings, SettingsError

__all__ = ["Options", "RuntimeSettings", "SettingsError", "install"]
