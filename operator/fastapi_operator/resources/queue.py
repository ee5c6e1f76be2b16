"""The queue: a broker that rejects messages when it is full, and logs each one to its volume."""

from fastapi_operator.api.storage import Storage
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects, redis
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs

# A queue library can run every command that it needs, except those that delete all messages at
# once. It cannot configure or stop the server, or block it by iterating over all keys.
_RULES = "~* &* +@all -@admin -@dangerous +info"


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the objects of the queue; none without ``spec.queue``, or if it is external."""
    plan, spec = inputs.plan.queue, inputs.spec.queue
    if plan is None or spec is None:
        return ()
    retain = spec.deletion_policy != "Delete"
    claim = objects.volume_claim(
        inputs,
        Part.QUEUE,
        inputs.name_of(Part.QUEUE, "data"),
        size=plan.storage_bytes,
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
