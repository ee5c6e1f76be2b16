"""The numbers that cache and queue share: both are a Redis server."""

import math

from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group


def declare_shared(group: Group) -> None:
    """Declares the numbers of a Redis server in the group of the cache or the queue."""
    group.number("max_clients", unit="connections")(_max_clients)
    group.constant(
        "cpu_request_millicores",
        50,
        "one thread responds within microseconds; the request reserves its share of a busy node",
        effect=effects.OBJECT_RESTART,
        field=f"parts.{group.section}.resources.requests.cpu",
        amount="cpu",
        evidence="judgement",
    )


def _max_clients(*, memory_limit_bytes: int) -> Because[int]:
    """⅛ · memory / 20 KiB, from 256 to 100,000.

    The buffers of the clients fit beside the data, and each takes a file descriptor (judgement).
    """
    share = int(memory_limit_bytes * figures.REDIS_CLIENTS_SHARE) // figures.REDIS_CLIENT_BYTES
    return Because(
        min(max(figures.REDIS_CLIENTS_MIN, share), figures.REDIS_CLIENTS_MAX),
        "an eighth of {memory_limit_bytes}, at 20Ki a client",
    )


def share_of(memory_bytes: int, share: float) -> int:
    """Returns a share of the memory in whole MiB."""
    return int(memory_bytes * share) // figures.MIB * figures.MIB


def whole_gibibytes(size: float) -> int:
    """Returns the size of a volume in whole GiB: at least 1, as providers round up themselves."""
    return max(1, math.ceil(size / figures.GIB)) * figures.GIB
