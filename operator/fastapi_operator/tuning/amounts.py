"""The numbers of a ``resources`` section."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi_operator import quantity
from fastapi_operator.api.compute import ResourceAmounts, Resources


@dataclass(frozen=True)
class Amounts:
    """CPU in millicores and memory in bytes; None for each that is not set."""

    cpu_request: int | None = None
    cpu_limit: int | None = None
    memory_request: int | None = None
    memory_limit: int | None = None


def amounts(resources: Resources | None) -> Amounts:
    """Returns the numbers of the ``resources`` of any part."""
    requests = (resources and resources.requests) or ResourceAmounts()
    limits = (resources and resources.limits) or ResourceAmounts()
    return Amounts(
        cpu_request=_optional(quantity.millicores, requests.cpu),
        cpu_limit=_optional(quantity.millicores, limits.cpu),
        memory_request=_optional(quantity.size_bytes, requests.memory),
        memory_limit=_optional(quantity.size_bytes, limits.memory),
    )


def _optional(convert: Callable[[str | int], int], text: str | int | None) -> int | None:
    return None if text is None else convert(text)
