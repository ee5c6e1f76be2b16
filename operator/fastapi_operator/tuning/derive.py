"""``derive``: from the spec of a service to every number that it needs."""

import dataclasses

from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.guards import broken_guards
from fastapi_operator.api.part_guards import absent_parts, broken_part_guards
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.automatic import is_automatic, tuning_problems
from fastapi_operator.tuning.backup import backup_plan, backup_problems
from fastapi_operator.tuning.bounds import out_of_bounds
from fastapi_operator.tuning.cache import cache_plan, cache_pool_plan
from fastapi_operator.tuning.canary import canary_plan, canary_problems
from fastapi_operator.tuning.client_address import address_problems
from fastapi_operator.tuning.compute import compute_basis, compute_plan, memory_problems
from fastapi_operator.tuning.connections import budget_problems, connected, database_plans
from fastapi_operator.tuning.contradictions import contradictions
from fastapi_operator.tuning.database import database_problems
from fastapi_operator.tuning.exposure import exposure_plan, exposure_problems, root_path_problems
from fastapi_operator.tuning.figures import PROXY_READ_TIMEOUT_SECONDS
from fastapi_operator.tuning.gateway import gateway_plan, gateway_problems
from fastapi_operator.tuning.image import mutable_tag
from fastapi_operator.tuning.leak_guard import leak_guard_plan
from fastapi_operator.tuning.load import load_problems
from fastapi_operator.tuning.measurements import NOT_MEASURED, Measurements
from fastapi_operator.tuning.migration import migration_plan
from fastapi_operator.tuning.observability import observability_plan, slo_problems
from fastapi_operator.tuning.plan import ComputePlan, Plan
from fastapi_operator.tuning.postgres import postgres_pod_plan
from fastapi_operator.tuning.preflight import preflight_plan
from fastapi_operator.tuning.processes import (
    background_plans,
    container_problems,
    process_claims,
    schedule_plans,
    worker_scaling_problems,
)
from fastapi_operator.tuning.profile import ProfiledSpec, with_profile
from fastapi_operator.tuning.programs import program_problems
from fastapi_operator.tuning.proxy import proxy_plan, proxy_problems
from fastapi_operator.tuning.queue import queue_plan, queue_problems
from fastapi_operator.tuning.scaling import scaling_problems
from fastapi_operator.tuning.server import (
    command_problems,
    server_core,
    server_plan,
    thread_problems,
)
from fastapi_operator.tuning.sessions import session_problems


def derive(
    service: FastAPIService,
    settings: Settings,
    facts: Facts,
    measurements: Measurements = NOT_MEASURED,
) -> Plan:
    """Derives the plan of a service; pure, and independent of the node on which it runs.

    Args:
        service: The service, valid by schema and rules.
        settings: The settings of the platform team, whose profiles are applied here.
        facts: The APIs of the cluster, and the profile of each namespace.
        measurements: Measurements of the service. They replace judgement where there is enough
            data, and never a field of the spec or its profile.

    Returns:
        The plan; ``problems`` has everything that keeps it from being applied.
    """
    profiled = dataclasses.replace(
        with_profile(service, settings, facts), measurements=measurements
    )
    spec = profiled.spec
    proxy, exposed = spec.proxy or Proxy(), spec.exposure or Exposure()
    # Sizes flow outwards from the database: its connections bound the pooler, the pooler the app.
    core = server_core(profiled, compute_basis(profiled))
    database, postgres = database_plans(profiled)
    background = background_plans(profiled, database)
    schedules = schedule_plans(profiled, database)
    others = tuple(process_claims(background, schedules))
    scaling, connections = connected(profiled, core, database, others)
    compute = compute_plan(profiled, core)
    proxied = proxy_plan(profiled, core, scaling) if proxy.engine != "None" else None
    server = server_plan(profiled, core, connections.pool, proxied)
    cache = cache_plan(profiled) if spec.redis is not None and spec.redis.managed else None
    queue = queue_plan(profiled) if spec.queue is not None and spec.queue.managed else None
    exposure = exposure_plan(
        service.metadata.name,
        service.metadata.namespace or "default",
        exposed,
        spec.server.effective_root_path if spec.server else "",
    )
    read_timeout = proxied.read_timeout_seconds.value if proxied else PROXY_READ_TIMEOUT_SECONDS
    gateway = gateway_plan(profiled, read_timeout, facts)
    observability = observability_plan(profiled, facts)
    plan = Plan(
        spec=spec,
        profile=profiled.profile,
        server=server,
        compute=compute,
        scaling=scaling,
        canary=canary_plan(profiled, scaling, observability),
        database=database,
        postgres=postgres,
        postgres_pod=(
            postgres_pod_plan(profiled)
            if spec.postgres is not None and spec.postgres.mode in (None, "Managed")
            else None
        ),
        backup=backup_plan(profiled, postgres),
        preflight=preflight_plan(profiled, _assumed_compute(profiled, compute)),
        leak_guard=leak_guard_plan(profiled, compute),
        migration=(
            migration_plan(profiled, _assumed_compute(profiled, compute))
            if spec.postgres is not None and spec.postgres.migrations is not None
            else None
        ),
        pool=connections.pool,
        pooler=connections.pooler,
        cache=cache,
        cache_pool=(
            cache_pool_plan(profiled, cache, core, scaling, others)
            if spec.redis is not None
            else None
        ),
        queue=queue,
        proxy=proxied,
        exposure=exposure if spec.exposure is not None else None,
        gateway=gateway,
        background=background,
        schedules=schedules,
        observability=observability,
        budget=connections.budget,
        problems=(
            *profiled.problems,
            *broken_guards(spec),
            *broken_part_guards(spec),
            *mutable_tag(spec.image),
            *out_of_bounds(profiled.raw),
            *contradictions(profiled.raw),
            *memory_problems(compute, core, background),
            *database_problems(spec.postgres, settings.images.postgres, facts),
            *session_problems(spec, pooled=connections.pooler is not None),
            *backup_problems(spec.postgres),
            *container_problems(spec),
            *program_problems(spec.background or ()),
            *worker_scaling_problems(spec, facts),
            *thread_problems(spec, server, connections.pool),
            *command_problems(spec, server),
            *scaling_problems(spec, facts),
            *canary_problems(spec, service.written),
            *tuning_problems(spec, service.written),
            *load_problems(spec, core, scaling, proxied),
            *budget_problems(spec, connections.budget, scaling, postgres),
            *(queue_problems(queue) if queue is not None else ()),
            *proxy_problems(spec),
            *address_problems(proxy, exposed),
            *slo_problems(observability),
            *root_path_problems(spec),
            *exposure_problems(exposed, proxy, exposure, facts),
            *gateway_problems(exposed, gateway, read_timeout, facts),
        ),
    )
    absent = tuple(absent_parts(service.written, plan.parts_with_pods))
    return dataclasses.replace(plan, problems=(*plan.problems, *absent)) if absent else plan


def derive_accepted(
    service: FastAPIService, settings: Settings, facts: Facts, accepted: Measurements
) -> Plan:
    """Derives a service with the figures that automatic tuning accepted, if that is its mode."""
    plan = derive(service, settings, facts)
    if accepted is NOT_MEASURED or not is_automatic(plan.spec):
        return plan
    return derive(service, settings, facts, accepted)


def _assumed_compute(profiled: ProfiledSpec, compute: ComputePlan) -> ComputePlan:
    """Returns the resources of an app pod without measurements, which show no migration."""
    if profiled.measurements is NOT_MEASURED:
        return compute
    assumed = dataclasses.replace(profiled, measurements=NOT_MEASURED)
    return compute_plan(assumed, server_core(assumed, compute_basis(assumed)))
