"""Measurements of services of the cluster for ``recommend``; imports the cluster's client.

The operator keeps them in a ConfigMap of each service. Without it, the pods are measured.
"""

import asyncio
import dataclasses
from pathlib import Path

import typer
import yaml
from pydantic import ValidationError

from fastapi_operator.api.service import FastAPIService
from fastapi_operator.cli import console, inputs, operator_settings
from fastapi_operator.cli.accepted import read_accepted
from fastapi_operator.cli.connect import Cluster, run_with_cluster
from fastapi_operator.cli.live import read_service
from fastapi_operator.cli.recommend import Advised
from fastapi_operator.cli.sampling import observe, parse, read_facts
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import CONFIG_MAP, SERVICE
from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.observe.measurements_record import FIGURES_KEY, record_name
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.measurements import Measurements
from fastapi_operator.views.recommendation import advise

# Services that are measured at the same time: each reads a few pages a second.
_AT_ONCE = 4


def measure(
    name: str | None,
    *,
    everywhere: bool,
    file: Path | None,
    url: str | None,
    seconds: int | None,
    settings: Path | None,
    profiles: Path | None,
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
) -> list[Advised]:
    """Returns the advice for a service, or for each service that can be measured.

    Args:
        name: The service; None for all.
        everywhere: Whether all are those of the cluster, not of the namespace.
        file: A file of measurements in place of a window.
        url: URL of Prometheus.
        seconds: Length of the window. Without it and without a URL, the measurements that the
            operator keeps are used if there are some.
        settings: The file of ``--settings``.
        profiles: The file of ``--profiles``.
        namespace: The namespace.
        context: The context of the kubeconfig.
        kubeconfig: The kubeconfig.
    """
    given = None
    if settings is not None or profiles is not None:
        given = inputs.read_settings(settings, profiles)
    if name is not None and file is not None:
        body, facts, used, accepted = read_service(
            name,
            settings=settings,
            profiles=profiles,
            namespace=namespace,
            context=context,
            kubeconfig=kubeconfig,
        )
        figures = inputs.read_measurements(file, [body])(body)
        advice = advise(parse(body), used.settings, facts, figures, accepted)
        return [Advised(advice, used.settings, facts, figures)]

    async def work(cluster: Cluster) -> list[Advised]:
        if name is not None:
            return [await _advised(cluster, name, url=url, seconds=seconds, settings=given)]
        places = [
            (body["metadata"]["namespace"], body["metadata"]["name"])
            async for items, _ in cluster.client.pages(
                SERVICE, None if everywhere else cluster.namespace
            )
            for body in items
        ]
        where = "the cluster" if everywhere else f"namespace {cluster.namespace}"
        if not places:
            inputs.fail(f"{where} has no FastAPIService")
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(own: str, service: str) -> Advised | None:
            async with gate:
                try:
                    return await _advised(
                        dataclasses.replace(cluster, namespace=own),
                        service,
                        url=url,
                        seconds=seconds,
                        settings=given,
                    )
                except typer.Exit:
                    # The reason is printed; the others can still be measured.
                    return None

        found = await asyncio.gather(*(one(*place) for place in places))
        advised = [item for item in found if item is not None]
        if not advised:
            inputs.fail(f"no service in {where} could be measured; the reasons are above")
        return advised

    return run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)


async def _advised(
    cluster: Cluster, name: str, *, url: str | None, seconds: int | None, settings: Settings | None
) -> Advised:
    if url is None and seconds is None:
        kept = await _kept(cluster, name)
        if kept is not None:
            return await _of_kept(cluster, name, kept, settings)
    observation = await observe(cluster, name, url=url, seconds=seconds)
    used, facts = observation.known
    ours = settings or used
    try:
        measured = observation.measurements()
    except ValueError as error:
        inputs.fail(
            f"{name}: {error} in {observation.signals.seconds:.0f} s; measure while there is "
            "traffic"
        )
    return _advise(observation.service, ours, facts, measured, observation.accepted)


async def _kept(cluster: Cluster, name: str) -> Measurements | None:
    """Returns the measurements that the operator keeps of a service; None without them."""
    try:
        body = await cluster.client.get(CONFIG_MAP, cluster.namespace, record_name(name))
    except ApiError as error:
        if error.status != 403:
            raise
        return None
    text = ((body or {}).get("data") or {}).get(FIGURES_KEY)
    if text is None:
        return None
    try:
        found = Measurements.from_mapping(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError):
        console.print_note(name, f"ConfigMap {record_name(name)} cannot be read")
        return None
    return found if found.is_of(cluster.namespace, name) else None


async def _of_kept(
    cluster: Cluster, name: str, measured: Measurements, settings: Settings | None
) -> Advised:
    body = await cluster.read_service(name)
    service = parse(body)
    ours = settings or (await operator_settings.read_if_published(cluster, body)).settings
    console.print_note(name, f"measured by the operator until {measured.until}")
    accepted = await read_accepted(cluster, name)
    return _advise(service, ours, await read_facts(cluster), measured, accepted)


def _advise(
    service: FastAPIService,
    settings: Settings,
    facts: Facts,
    measured: Measurements,
    accepted: Measurements,
) -> Advised:
    for reason in measured.unused():
        console.print_note(service.metadata.name, reason)
    advice = advise(service, settings, facts, measured, accepted)
    return Advised(advice, settings, facts, measured)
