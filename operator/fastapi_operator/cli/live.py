"""A service as the cluster has it, for commands that also read files.

This is a module of its own so that such a command imports the cluster's client only if it is
needed.
"""

import dataclasses
from pathlib import Path
from typing import Any

from fastapi_operator.cli import operator_settings
from fastapi_operator.cli.connect import Cluster, run_with_cluster
from fastapi_operator.cli.operator_settings import UsedSettings
from fastapi_operator.cluster import discovery
from fastapi_operator.facts import Facts


def read_service(
    name: str,
    *,
    settings: Path | None,
    profiles: Path | None,
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
) -> tuple[dict[str, Any], Facts, UsedSettings]:
    """Returns a live service, the facts of its cluster and the settings of its operator.

    A missing service, or unknown settings, end the command.
    """

    async def work(cluster: Cluster) -> tuple[dict[str, Any], Facts, UsedSettings]:
        body = await cluster.read_service(name)
        used = await operator_settings.read(cluster, body, file=settings, profiles=profiles)
        return body, await discover_facts(cluster), used

    return run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)


async def discover_facts(cluster: Cluster) -> Facts:
    """Returns the facts of the cluster, with those of the command's namespace."""
    facts = await discovery.discover(cluster.client)
    profiles = await discovery.profiles(cluster.client, (cluster.namespace,))
    limits = await discovery.limits(cluster.client, (cluster.namespace,))
    ipv6 = await discovery.pods_use_ipv6(cluster.client)
    return dataclasses.replace(facts, profiles=profiles, limits=limits or {}, ipv6=ipv6)
