"""Error reporting to Sentry, or to a server with its protocol, configured by environment only.

`SENTRY_DSN` enables it. The SDK itself reads `SENTRY_ENVIRONMENT` and `SENTRY_RELEASE`. Traces are
sent by OpenTelemetry.
"""

from __future__ import annotations

import importlib.util
import logging

from fastapi_operator_runtime import settings

logger = logging.getLogger(__name__)


def configure(config: settings.RuntimeSettings) -> None:
    """Starts the SDK if SENTRY_DSN is set; otherwise it is not imported."""
    if config.sentry_dsn is None:
        return
    if importlib.util.find_spec("sentry_sdk") is None:
        logger.warning("SENTRY_DSN is set, but sentry-sdk is missing: install the extra `sentry`")
        return
    import sentry_sdk

    # Bodies and local variables can contain passwords and tokens, and are sent by default. Users,
    # addresses and login headers are not sent unless they are enabled.
    sentry_sdk.init(
        dsn=config.sentry_dsn.get_secret_value(),
        include_local_variables=False,
        max_request_body_size="never",
    )
