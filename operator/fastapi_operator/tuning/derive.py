"""``derive``: from what a service says to every number it needs."""

import dataclasses

from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.guards import broken_guards
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.backup import backup_plan, backup_problems
from fastapi_operator.tuning.cache import cache_plan, cache_pool_plan
from fastapi_operator.tuning.compute import compute_basis, compute_plan
from fastapi_operator.tuning.connections import budget_problems, connected, database_plans
from fastapi_operator.tuning.contradictions import contradictions
from fastapi_operator.tuning.database import database_problems
from fastapi_operator.tuning.exposure import exposure_plan, exposure_problems
from fastapi_operator.tuning.image import mutable_tag
from fastapi_operator.tuning.load import load_problems
from fastapi_operator.tuning.migration import migration_plan
from fastapi_operator.tuning.observability import observability_plan, slo_problems
from fastapi_operator.tuning.plan import Plan
from fastapi_operator.tuning.postgres import postgres_pod_plan
from fastapi_operator.tuning.processes import background_plans, process_claims, schedule_plans
from fastapi_operator.tuning.profile import Profiled, profiled
from fastapi_operator.tuning.proxy import proxy_plan, proxy_problems
from fastapi_operator.tuning.queue import queue_plan, queue_problems
from fastapi_operator.tuning.scaling import scaling_problems
from fastapi_operator.tuning.server import server_plan, thread_problems, with_connections, with_pool


def derive(
    service: FastAPIService,
    settings: Settings,
    facts: Facts,
) -> Plan:
    """Works out the plan of a service; pure, and independent of the node it runs on.

    Args:
        service: The service, valid by schema and rules.
        settings: What the platform team set for all services; its profiles are applied here.
        facts: What the cluster offers, and which profile a namespace has.

    Returns:
        The plan; ``problems`` holds what keeps it from being applied.
    """
    said = profiled(service, settings, facts)
    name = service.metadata.name
    plan = _plan(name, said, settings, facts)
    while (lowered := said.lowered(plan)) is not None:
        said = lowered
        plan = _plan(name, said, settings, facts)
    sections = {item.name: getattr(plan, item.name) for item in dataclasses.fields(plan)}
    return Plan(**{part: said.attributed(section) for part, section in sections.items()})


def _plan(name: str, said: Profiled, settings: Settings, facts: Facts) -> Plan:
    spec = said.spec
    server = server_plan(spec, compute_basis(spec))
    # Sizes flow outwards from the database: its connections bound the pooler, the pooler the app.
    database, postgres = database_plans(spec.postgres)
    background, schedules = background_plans(spec, database), schedule_plans(spec, database)
    others = tuple(process_claims(background, schedules))
    scaling, connections = connected(spec, server, database, others)
    server = with_pool(spec, server, connections.pool)
    compute = compute_plan(spec, server, cpu_limits=said.profile.cpu_limits)
    cache = cache_plan(spec.redis) if spec.redis is not None and spec.redis.managed else None
    queue = queue_plan(spec.queue) if spec.queue is not None and spec.queue.managed else None
    proxy, exposed = spec.proxy or Proxy(), spec.exposure or Exposure()
    root_path = spec.server.root_path if spec.server else None
    exposure = exposure_plan(name, exposed, root_path)
    observability = observability_plan(spec.observability, proxy, facts)
    proxied = proxy_plan(proxy, exposed, server, scaling) if proxy.engine != "None" else None
    return Plan(
        spec=spec,
        profile=said.profile,
        server=with_connections(spec, server, proxied),
        compute=compute,
        scaling=scaling,
        database=database,
        postgres=postgres,
        postgres_pod=(
            postgres_pod_plan()
            if spec.postgres is not None and spec.postgres.mode in (None, "Managed")
            else None
        ),
        backup=backup_plan(spec.postgres, postgres),
        migration=(
            migration_plan(spec.postgres.migrations, compute)
            if spec.postgres is not None and spec.postgres.migrations is not None
            else None
        ),
        pool=connections.pool,
        pooler=connections.pooler,
        cache=cache,
        cache_pool=(
            cache_pool_plan(spec.redis, cache, server, scaling, others)
            if spec.redis is not None
            else None
        ),
        queue=queue,
        proxy=proxied,
        exposure=exposure if spec.exposure is not None else None,
        background=background,
        schedules=schedules,
        observability=observability,
        budget=connections.budget,
        problems=(
            *said.problems,
            *broken_guards(spec),
            *mutable_tag(spec.image),
            *contradictions(spec),
            *database_problems(spec.postgres, settings.images.postgres, facts),
            *backup_problems(spec.postgres),
            *thread_problems(spec, server, connections.pool),
            *scaling_problems(spec, facts),
            *load_problems(spec, server, scaling),
            *budget_problems(spec, connections.budget, scaling),
            *(queue_problems(queue) if queue is not None else ()),
            *proxy_problems(proxy, exposed),
            *slo_problems(observability),
            *exposure_problems(exposed, proxy, exposure, facts),
        ),
    )
