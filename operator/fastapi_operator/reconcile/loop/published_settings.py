"""Publishes the operator's settings in a ConfigMap, for the commands about a live service.

The settings have no credentials. The ConfigMap is written when its content differs, for example
after an upgrade or if it was deleted, and never at rest.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
import yaml

from fastapi_operator import __version__, naming
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.failures import Failures
from fastapi_operator.cluster.kinds import CONFIG_MAP
from fastapi_operator.settings import Settings

RETRY_SECONDS = 30.0
_REMEDY = "upgrade the whole chart, bind the rules of manifests/rbac, or set publishSettings=false"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PublishedSettings:
    """The ConfigMap with the settings.

    Attributes:
        namespace: Its namespace, that of the operator.
        name: Its name.
    """

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    async def keep(self, client: Client, settings: Settings) -> None:
        """Publishes the settings, and checks them at each relist."""
        failures = Failures(_log, "settings not published", clock=time.monotonic)
        while True:
            pause: float = settings.resync_seconds
            try:
                await self.publish(client, settings)
                failures.end()
            except ApiError as error:
                failures.add(error=str(error), config_map=str(self), remedy=_REMEDY)
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)

    async def publish(self, client: Client, settings: Settings) -> None:
        """Writes the ConfigMap if its content differs.

        Raises:
            ApiError: The API server refused.
        """
        data = published_data(settings)
        live = await client.get(CONFIG_MAP, self.namespace, self.name)
        if live is None or live.get("data") != data:
            await client.apply(CONFIG_MAP, self._body(data))
            _log.info("settings published", config_map=str(self))

    def _body(self, data: Mapping[str, str]) -> dict[str, Any]:
        return {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {
                "namespace": self.namespace,
                "name": self.name,
                "labels": {"app.kubernetes.io/managed-by": naming.FIELD_MANAGER},
            },
            "data": data,
        }


def published_data(settings: Settings) -> dict[str, str]:
    """Returns the content: a settings file with all values, and the operator's version."""
    text = yaml.safe_dump(settings.to_mapping(), sort_keys=True, allow_unicode=True)
    return {naming.SETTINGS_KEY: text, naming.VERSION_KEY: __version__}
