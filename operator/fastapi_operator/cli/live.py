"""A service as the cluster has it, for commands that also read files.

This is a module of its own so that such a command imports the cluster's client only if it is
needed.
"""

import dataclasses
from typing import Any

from fastapi_operator.cli.connect import Cluster, run_with_cluster
from fastapi_operator.cluster import discovery
from fastapi_operator.facts import Facts


def read_service(
    name: str, *, namespace: str | None, context: str | None, kubeconfig: str | None
) -> tuple[dict[str, Any], Facts]:
    """Returns a live service and the facts of its cluster; ends the command if it is missing."""

    async def work(cluster: Cluster) -> tuple[dict[str, Any], Facts]:
        return await cluster.read_service(name), await discover_facts(cluster)

    return run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)


async def discover_facts(cluster: Cluster) -> Facts:
    """Returns the facts of the cluster, with the profile of the command's namespace."""
    facts = await discovery.discover(cluster.client)
    profiles = await discovery.profiles(cluster.client, (cluster.namespace,))
    return dataclasses.replace(facts, profiles=profiles)
