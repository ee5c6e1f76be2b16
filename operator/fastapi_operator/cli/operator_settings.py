"""The settings for a command about a live service: those of the operator that reconciles it.

The operator publishes them in a ConfigMap that every authenticated user may read. The status of a
service names the ConfigMap.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from fastapi_operator import __version__, naming
from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import CONFIG_MAP, SERVICE
from fastapi_operator.settings import Settings


class UsedSettings(NamedTuple):
    """Settings and their source.

    Attributes:
        settings: The settings.
        source: A file, or the ConfigMap and the version of the operator.
    """

    settings: Settings
    source: str


class UnknownSettingsError(Exception):
    """The settings of the operator cannot be read; the message has the reason and the remedy."""


async def read(
    cluster: Cluster,
    service: Mapping[str, Any] | None,
    *,
    file: Path | None = None,
    profiles: Path | None = None,
) -> UsedSettings:
    """Returns the settings to use, and reports their source on standard error.

    Args:
        cluster: The connection.
        service: The live service; None if it does not exist yet.
        file: The file of ``--settings``, which takes precedence.
        profiles: The file of ``--profiles``, which is merged into the settings.
    """
    try:
        used = await _find(cluster, service) if file is None else _of_file(file)
    except UnknownSettingsError as error:
        inputs.fail(f"{error}; give them with --settings FILE")
    if profiles is not None:
        merged = inputs.with_profiles(used.settings, profiles)
        used = UsedSettings(merged, f"{used.source}, with the profiles of {profiles}")
    console.print_line(f"settings: {used.source}", console.DIM, to_stderr=True)
    return used


async def read_if_published(cluster: Cluster, service: Mapping[str, Any]) -> UsedSettings:
    """Returns the settings for a command whose result rarely depends on them.

    If they are unknown, these are the built-in ones, and a note on standard error has the reason.
    """
    try:
        return await _find(cluster, service)
    except UnknownSettingsError as error:
        note = f"note: {error}; the built-in settings are used"
        console.print_line(note, console.DIM, to_stderr=True)
        return UsedSettings(Settings(), "built-in")


async def _find(cluster: Cluster, service: Mapping[str, Any] | None) -> UsedSettings:
    status = (service or {}).get("status") or {}
    # The API server gives a new service a status without conditions.
    if status.get("conditions") and not status.get("settings"):
        raise _unknown("the operator of this service publishes no settings (publishSettings=false)")
    reference = status.get("settings") or await _of_neighbours(cluster)
    namespace, _, name = reference.partition("/")
    try:
        body = await cluster.client.get(CONFIG_MAP, namespace, name)
    except ApiError as error:
        if error.status == 0:
            raise
        raise _unknown(f"ConfigMap {namespace}/{name}: {error.message}") from error
    if body is None:
        raise _unknown(f"ConfigMap {namespace}/{name} does not exist")
    data = body.get("data") or {}
    version = data.get(naming.VERSION_KEY, "")
    try:
        settings = Settings.from_mapping(yaml.safe_load(data.get(naming.SETTINGS_KEY, "")))
    except (ValidationError, yaml.YAMLError) as error:
        raise _unknown(
            f"ConfigMap {namespace}/{name} is of operator {version or '(unknown)'}, and this "
            f"command of version {__version__} cannot read it; use the command of that version"
        ) from error
    return UsedSettings(settings, f"ConfigMap {namespace}/{name} of operator {version}")


async def _of_neighbours(cluster: Cluster) -> str:
    """Returns the ConfigMap for a service without a status, which no operator has seen yet.

    The other services of the namespace name it; else it is that of the chart's default names.
    """
    async for items, _ in cluster.client.pages(SERVICE, cluster.namespace):
        for item in items:
            reference = (item.get("status") or {}).get("settings")
            if reference:
                return str(reference)
    return naming.DEFAULT_PUBLISHED_SETTINGS


def _of_file(file: Path) -> UsedSettings:
    return UsedSettings(inputs.read_settings(file, None), str(file))


def _unknown(reason: str) -> UnknownSettingsError:
    return UnknownSettingsError(f"the operator's settings are unknown: {reason}")
