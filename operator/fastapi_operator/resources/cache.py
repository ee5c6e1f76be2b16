"""The cache: a server that evicts keys when it is full, with persistence only on request."""

from fastapi_operator.parts import Part
from fastapi_operator.resources import objects, redis
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs

# The app can use the cache, subscribe and read statistics. It cannot configure or stop the server,
# or block it with commands that iterate over all keys.
_RULES = "~* &* +@all -@admin -@dangerous +info +flushdb"


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the objects of the cache; none without ``spec.redis``, or if it is external."""
    plan, spec = inputs.plan.cache, inputs.spec.redis
    if plan is None or spec is None:
        return ()
    name = inputs.name_of(Part.CACHE)
    claims: tuple[Desired, ...] = ()
    if plan.storage_bytes is not None and spec.persistence is not None:
        claims = (
            objects.volume_claim(
                inputs,
                Part.CACHE,
                inputs.name_of(Part.CACHE, "data"),
                size=plan.storage_bytes,
                storage_class=spec.persistence.class_name,
            ),
        )
    server = redis.Server(
        part=Part.CACHE,
        name=name,
        engine=spec.engine or "Redis",
        plan=plan,
        config="redis-cache.conf.j2",
        values={"snapshot_seconds": plan.snapshot_seconds and plan.snapshot_seconds.value},
        rules=_RULES,
        claim=claims[0].key.name if claims else None,
    )
    return (*claims, *redis.build(inputs, server))
