"""The credentials of a service's stores, for a client on this machine."""

import base64
from collections.abc import Iterable

from fastapi_operator.cli import inputs
from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cluster.kinds import SECRET


async def read_credentials(cluster: Cluster, secret: str, keys: Iterable[str]) -> list[str]:
    """Returns the values of a Secret; ends the command if it or a key is missing."""
    body = await cluster.client.get(SECRET, cluster.namespace, secret)
    if body is None:
        inputs.fail(f"Secret {cluster.namespace}/{secret} does not exist; it has the password")
    data = body.get("data") or {}
    values = []
    for key in keys:
        if key not in data:
            inputs.fail(f"Secret {cluster.namespace}/{secret} has no key {key}")
        values.append(base64.b64decode(data[key]).decode())
    return values
