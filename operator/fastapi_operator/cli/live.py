"""A service as the cluster has it, for commands that also read files.

This is a module of its own so that such a command imports the cluster's client only if it is
needed.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from fastapi_operator.cli import operator_settings
from fastapi_operator.cli.accepted import read_accepted
from fastapi_operator.cli.connect import Cluster, run_with_cluster
from fastapi_operator.cli.operator_settings import UsedSettings
from fastapi_operator.cluster import discovery
from fastapi_operator.facts import Facts
from fastapi_operator.tuning.measurements import Measurements


class LiveInput(NamedTuple):
    """A live service, and all that its plan depends on.

    Attributes:
        body: The service.
        facts: The facts of its cluster.
        used: The settings of its operator.
        accepted: The figures that automatic tuning accepted.
    """

    body: dict[str, Any]
    facts: Facts
    used: UsedSettings
    accepted: Measurements


def read_service(
    name: str,
    *,
    settings: Path | None,
    profiles: Path | None,
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
) -> LiveInput:
    """Returns a live service, and all that its plan depends on.

    A missing service, or unknown settings, end the command.
    """

    async def work(cluster: Cluster) -> LiveInput:
        body = await cluster.read_service(name)
        used = await operator_settings.read(cluster, body, file=settings, profiles=profiles)
        accepted = await read_accepted(cluster, name)
        return LiveInput(body, await discover_facts(cluster), used, accepted)

    return run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)


async def discover_facts(cluster: Cluster) -> Facts:
    """Returns the facts of the cluster, with those of the command's namespace."""
    facts = await discovery.discover(cluster.client)
    profiles = await discovery.profiles(cluster.client, (cluster.namespace,))
    limits = await discovery.limits(cluster.client, (cluster.namespace,))
    ipv6 = await discovery.pods_use_ipv6(cluster.client)
    return dataclasses.replace(facts, profiles=profiles, limits=limits or {}, ipv6=ipv6)
