"""What holds for every Redis server that is run here, cache or queue."""

import math

from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, Decision, fixed


def max_clients(*, memory_bytes: int) -> Because[int]:
    """Connections whose buffers fit beside the data."""
    share = int(memory_bytes * figures.REDIS_CLIENTS_SHARE)
    return Because(
        max(figures.REDIS_CLIENTS_MIN, share // figures.REDIS_CLIENT_BYTES),
        "an eighth of {memory_bytes}, at 20Ki a client",
    )


def cpu_request(section: str) -> Decision[int]:
    """The CPU that is kept free for a server; ``section`` is that of the plan it stands in."""
    return fixed(
        f"{section}.cpu_request_millicores",
        figures.REDIS_CPU_MILLICORES,
        "it answers from one thread in microseconds; the request keeps its place on a busy node",
        unit="",
        effect=effects.OBJECT_RESTART,
    )


def share_of(memory_bytes: int, share: float) -> int:
    """A share of the memory in whole MiB, as an operator would write it."""
    return int(memory_bytes * share) // figures.MIB * figures.MIB


def whole_gibibytes(size: float) -> int:
    """The size of a volume: at least 1Gi, below which providers round up themselves."""
    return max(1, math.ceil(size / figures.GIB)) * figures.GIB
