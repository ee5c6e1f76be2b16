"""A service as the cluster has it, for commands that otherwise read files.

A module of its own, so that such a command loads the cluster's client only when it is asked to.
"""

import dataclasses
from typing import Any

from fastapi_operator.cli.connected import Cluster, connected
from fastapi_operator.cluster import discovery
from fastapi_operator.facts import Facts


def read(
    name: str, *, namespace: str | None, context: str | None, kubeconfig: str | None
) -> tuple[dict[str, Any], Facts]:
    """A live service, and what its cluster offers; ends the command where there is none."""

    async def work(cluster: Cluster) -> tuple[dict[str, Any], Facts]:
        body = await cluster.service(name)
        offered = await discovery.discover(cluster.client)
        profiles = await discovery.profiles(cluster.client, (cluster.namespace,))
        return body, dataclasses.replace(offered, profiles=profiles)

    return connected(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
