"""The managed broker: it refuses what does not fit, and logs what it took."""

from collections.abc import Iterator

from fastapi_operator import quantity
from fastapi_operator.api.redis import Queue
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures, redis
from fastapi_operator.tuning.decision import Because, decide, overridden
from fastapi_operator.tuning.plan import QueuePlan


def queue_plan(spec: Queue) -> QueuePlan:
    """The numbers of the broker; its sizes follow from its memory alone."""
    given = None if spec.memory is None else quantity.size_bytes(spec.memory)
    volume = spec.persistence
    size = None if volume is None or volume.size is None else quantity.size_bytes(volume.size)
    memory = decide(
        "queue.memory_limit_bytes",
        _memory,
        unit="",
        override=overridden(given, "spec.queue.memory"),
        effect=effects.OBJECT_RESTART,
    )
    maxmemory = decide(
        "queue.maxmemory_bytes",
        _maxmemory,
        unit="",
        memory_bytes=memory,
        effect=effects.SERVER_RESTART,
    )
    return QueuePlan(
        cpu_request_millicores=redis.cpu_request("queue"),
        memory_limit_bytes=memory,
        maxmemory_bytes=maxmemory,
        policy=decide("queue.policy", _policy, unit="", effect=effects.SERVER_RESTART),
        max_clients=decide(
            "queue.max_clients",
            redis.max_clients,
            unit="connections",
            memory_bytes=memory,
            effect=effects.SERVER_RESTART,
        ),
        grace_seconds=decide(
            "queue.grace_seconds", _grace_seconds, unit="seconds", effect=effects.OBJECT_RESTART
        ),
        storage_bytes=decide(
            "queue.storage_bytes",
            _storage,
            unit="",
            override=overridden(size, "spec.queue.persistence.size"),
            maxmemory_bytes=maxmemory,
            effect=effects.OBJECT_NONE,
        ),
        fsync=decide("queue.fsync", _fsync, unit="", effect=effects.SERVER_RESTART),
        log_rewrite_bytes=decide(
            "queue.log_rewrite_bytes", _log_rewrite, unit="", effect=effects.SERVER_RESTART
        ),
    )


def queue_problems(plan: QueuePlan) -> Iterator[Problem]:
    """A volume on which the log could not be rewritten."""
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


def _memory() -> Because[int]:
    return Because(figures.QUEUE_MEMORY_BYTES, "a small queue; spec.queue.memory sets it")


def _maxmemory(*, memory_bytes: int) -> Because[int]:
    return Because(
        redis.share_of(memory_bytes, figures.QUEUE_FILL),
        "half of {memory_bytes}: while the log is rewritten, every page that changes exists twice",
    )


def _policy() -> Because[str]:
    return Because(
        "noeviction", "a full queue refuses the next message; it never drops one that it took"
    )


def _grace_seconds() -> Because[int]:
    return Because(
        figures.QUEUE_GRACE_SECONDS, "the log's last second is flushed, on a slow disk as well"
    )


def _storage(*, maxmemory_bytes: int) -> Because[int]:
    return Because(
        redis.whole_gibibytes(figures.QUEUE_LOG_COPIES * maxmemory_bytes),
        f"{figures.QUEUE_LOG_COPIES} times {{maxmemory_bytes}}: the log before its rewrite, the "
        "new one beside it, and as much again for what arrives meanwhile; at least 1Gi",
    )


def _fsync() -> Because[str]:
    return Because(
        "everysec",
        "what was acknowledged is on disk within a second, within two where the disk is slow; "
        "syncing each message would wait for the disk each time",
    )


def _log_rewrite() -> Because[int]:
    return Because(
        figures.QUEUE_LOG_REWRITE_BYTES,
        "Redis's default: the log is rewritten when it has doubled and is at least this large",
    )
