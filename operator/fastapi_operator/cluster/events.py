"""Kubernetes Events about a service; they are only posted for transitions."""

import datetime
import uuid
from typing import Any, Literal

import structlog

from fastapi_operator import naming
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import EVENT

# The API server refuses a longer note; it counts the bytes of UTF-8.
NOTE_MAX_BYTES = 1024

_log = structlog.get_logger(__name__)


async def post(
    client: Client,
    *,
    namespace: str,
    name: str,
    uid: str,
    kind: Literal["Normal", "Warning"],
    reason: str,
    message: str,
    instance: str,
) -> None:
    """Posts one Event; if that fails, the error is only logged."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body: dict[str, Any] = {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": f"{name}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
        "eventTime": now,
        "type": kind,
        "reason": reason[:128],
        "action": "Reconcile",
        "note": _note(message, name, namespace),
        "regarding": {
            "apiVersion": naming.API_VERSION,
            "kind": naming.KIND,
            "namespace": namespace,
            "name": name,
            "uid": uid,
        },
        "reportingController": naming.GROUP,
        "reportingInstance": instance[:128],
    }
    try:
        await client.create(EVENT, body)
    except ApiError as error:
        _log.warning("cannot post event", service=name, namespace=namespace, error=str(error))


def _note(message: str, name: str, namespace: str) -> str:
    """Returns the message of an Event; if it is cut, with the command that shows the rest."""
    whole = message.encode()
    if len(whole) <= NOTE_MAX_BYTES:
        return message
    end = f"… (whole text: fastapi-operator status {name} -n {namespace})"
    return whole[: NOTE_MAX_BYTES - len(end.encode())].decode(errors="ignore") + end
