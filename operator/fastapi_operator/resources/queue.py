"""The queue: a broker that refuses what does not fit, and logs what it took to its volume."""

from fastapi_operator.api.storage import Storage
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects, redis
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs

# A queue library may do all that it needs but empty the database at once; it may not configure
# the server, stop it, or block it with commands that walk all keys.
_RULES = "~* &* +@all -@admin -@dangerous +info"


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """The objects of the queue; none without ``spec.queue``, or where it is external."""
    plan, spec = inputs.plan.queue, inputs.spec.queue
    if plan is None or spec is None:
        return ()
    retain = spec.deletion_policy != "Delete"
    claim = objects.volume_claim(
        inputs,
        Part.QUEUE,
        inputs.name_of(Part.QUEUE, "data"),
        size_bytes=plan.storage_bytes.value,
        storage_class=(spec.persistence or Storage()).class_name,
        retain=retain,
    )
    server = redis.Server(
        part=Part.QUEUE,
        name=inputs.name_of(Part.QUEUE),
        engine=spec.engine or "Redis",
        plan=plan,
        config="redis-queue.conf.j2",
        values={
            "fsync": plan.fsync.value,
            "log_rewrite_bytes": plan.log_rewrite_bytes.value,
        },
        rules=_RULES,
        claim=claim.key.name,
        retain=retain,
    )
    return (claim, *redis.build(inputs, server))
