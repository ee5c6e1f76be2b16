"""``build``: from a plan to every object of the service."""

from collections.abc import Callable, Mapping

from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part, for_each_part
from fastapi_operator.resources import (
    app,
    autoscaling,
    background,
    backup,
    cache,
    canary,
    cloudnativepg,
    dashboard,
    database,
    exposure,
    migration,
    network,
    observability,
    pooler,
    preflight,
    proxy,
    queue,
    schedules,
    worker_scaling,
)
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.stage import Stage
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.plan import Plan

# In the order in which a reader follows a response back: stores first, entry last.
BUILDERS: Mapping[Part, Callable[[Inputs], tuple[Desired, ...]]] = for_each_part(
    {
        Part.DATABASE: lambda inputs: (*database.build(inputs), *cloudnativepg.build(inputs)),
        Part.BACKUP: backup.build,
        Part.POOLER: pooler.build,
        Part.CACHE: cache.build,
        Part.QUEUE: queue.build,
        Part.PREFLIGHT: preflight.build,
        Part.MIGRATION: migration.build,
        Part.APP: app.build,
        Part.CANARY: canary.build,
        Part.BACKGROUND: background.build,
        Part.SCHEDULES: schedules.build,
        Part.PROXY: proxy.build,
        Part.EXPOSURE: exposure.build,
        Part.AUTOSCALING: lambda inputs: (
            *autoscaling.build(inputs),
            *worker_scaling.build(inputs),
        ),
        Part.NETWORK: network.build,
        Part.OBSERVABILITY: lambda inputs: (
            *observability.build(inputs),
            *dashboard.build(inputs),
        ),
    },
    entry="builder",
    place="BUILDERS in fastapi_operator/resources/build.py",
)


def build(
    service: FastAPIService,
    plan: Plan,
    settings: Settings,
    facts: Facts,
    stage: Stage | None = None,
) -> tuple[Desired, ...]:
    """Builds every object of a service; pure, and the same each time.

    Args:
        service: The service.
        plan: The numbers that ``derive`` returned for it.
        settings: The operator's settings: operand images and security.
        facts: The APIs that the cluster serves.
        stage: The step of a new version that runs beside the released one; None if none does.
    """
    inputs = Inputs.of(service, plan, settings, facts, stage)
    return tuple(desired for builder in BUILDERS.values() for desired in builder(inputs))
