"""The managed broker: it refuses messages when it is full, and logs those that it accepted."""

from collections.abc import Iterator

from fastapi_operator import quantity
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures, redis
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import QueuePlan
from fastapi_operator.tuning.profile import ProfiledSpec

QUEUE = Group("queue", effects.SERVER_RESTART)


def queue_plan(profiled: ProfiledSpec) -> QueuePlan:
    """Decides the numbers of the broker; its sizes follow from its memory alone."""
    return QueuePlan(**QUEUE.decide(profiled))


def queue_problems(plan: QueuePlan) -> Iterator[Problem]:
    """Reports a volume on which the log cannot be rewritten."""
    needed = figures.QUEUE_LOG_COPIES_MIN * plan.maxmemory_bytes.value
    if plan.storage_bytes.value < needed:
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.queue.persistence.size",
            message=f"{plan.storage_bytes.display()} may fill up while the log of "
            f"{plan.maxmemory_bytes.display()} is rewritten; the queue then refuses messages",
            remedy=f"set at least {quantity.format_bytes(needed)} or less spec.queue.memory",
        )


QUEUE.constant(
    "memory_limit_bytes",
    256 * figures.MIB,
    "a small queue; spec.queue.memory sets it",
    effect=effects.OBJECT_RESTART,
    field=("parts.queue.resources.limits.memory", "queue.memory"),
    ceiling="queue.memory",
    amount="memory",
    evidence="judgement",
)
redis.declare_shared(QUEUE)


@QUEUE.number(headline=True)
def _maxmemory_bytes(*, memory_limit_bytes: int) -> Because[int]:
    """½ · memory.

    A rewrite of the log forks; under writes everywhere each page is copied once (judgement).
    """
    return Because(
        redis.share_of(memory_limit_bytes, figures.QUEUE_FILL),
        "half of {memory_limit_bytes}: while the log is rewritten, each page that changes exists "
        "twice",
    )


QUEUE.constant(
    "policy",
    "noeviction",
    "a full queue refuses the next message; it never drops one that it accepted",
)
QUEUE.constant(
    "grace_seconds",
    30,
    "the log's last second is flushed, on a slow disk as well",
    effect=effects.OBJECT_RESTART,
    evidence="judgement",
)


@QUEUE.number(
    effect=effects.OBJECT_NONE,
    field="queue.persistence.size",
    ceiling="queue.persistence.size",
    amount="storage",
)
def _storage_bytes(*, maxmemory_bytes: int) -> Because[int]:
    """8 · maxmemory_bytes, in whole GiB.

    The log before its rewrite (twice the data), the new one, and as much again for messages that
    arrive meanwhile. Below 4 · maxmemory_bytes the plan has a warning.
    """
    return Because(
        redis.whole_gibibytes(figures.QUEUE_LOG_COPIES * maxmemory_bytes),
        f"{figures.QUEUE_LOG_COPIES} times {{maxmemory_bytes}}: the log before its rewrite, the "
        "new one beside it, and as much again for messages that arrive meanwhile; at least 1Gi",
    )


QUEUE.constant(
    "fsync",
    "everysec",
    "an acknowledged message is on disk within a second, within two if the disk is slow; syncing "
    "each message would wait for the disk each time",
    evidence="a test saw a killed server lose a message that it had just accepted",
)
QUEUE.constant(
    "log_rewrite_bytes",
    64 * figures.MIB,
    "Redis's default: the log is rewritten when it has doubled and is at least this large",
)
