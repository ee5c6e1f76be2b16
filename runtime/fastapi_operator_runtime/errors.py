"""Error reporting to Sentry, or anything that speaks its protocol, by environment alone.

`SENTRY_DSN` switches it on; `SENTRY_ENVIRONMENT` and `SENTRY_RELEASE` are read by the SDK itself.
Traces are OpenTelemetry's part.
"""

from __future__ import annotations

import importlib.util
import logging

from fastapi_operator_runtime import settings

logger = logging.getLogger(__name__)


def configure(config: settings.RuntimeSettings) -> None:
    """Start the SDK where SENTRY_DSN is set; it is not even imported otherwise."""
    if config.sentry_dsn is None:
        return
    if importlib.util.find_spec("sentry_sdk") is None:
        logger.warning("SENTRY_DSN is set, but sentry-sdk is missing: install the extra `sentry`")
        return
    import sentry_sdk

    # Bodies and local variables hold passwords and tokens; both would be sent by default. Users,
    # addresses and login headers are not, unless somebody asks for them.
    sentry_sdk.init(
        dsn=config.sentry_dsn.get_secret_value(),
        include_local_variables=False,
        max_request_body_size="never",
    )
