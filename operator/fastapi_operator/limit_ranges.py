"""LimitRanges: the least, the most and the defaults that a namespace sets for its containers.

The API server refuses a pod outside of them, so the plan must know them. Amounts are in thousandths
of a core and in bytes. Several LimitRanges of a namespace apply together.

Source: https://kubernetes.io/docs/concepts/policy/limit-range/
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from fastapi_operator import quantity

CPU, MEMORY, STORAGE = "cpu", "memory", "storage"
AMOUNTS = {CPU: quantity.millicores, MEMORY: quantity.size_bytes, STORAGE: quantity.size_bytes}
FORMATS = {CPU: quantity.format_cpu, MEMORY: quantity.format_bytes, STORAGE: quantity.format_bytes}


class Bound(NamedTuple):
    """A bound of one resource, and the LimitRange that sets it."""

    amount: int
    origin: str


class Ratio(NamedTuple):
    """The largest limit as a multiple of the request, and the LimitRange that sets it."""

    value: Decimal
    origin: str

    def least_request(self, limit: int) -> int:
        """The least request with which a limit is admitted."""
        return math.ceil(limit / self.value)

    def most_limit(self, request: int) -> int:
        """The largest limit that is admitted with a request."""
        return math.floor(request * self.value)


@dataclass(frozen=True)
class TypeLimits:
    """The bounds of one type: containers, pods or volume claims; each by resource.

    Attributes:
        least: The least request and limit.
        most: The most; the API server then requires a limit.
        ratios: The largest ratio of limit and request; both are then required.
        limits: Default limits, of containers without one.
        requests: Default requests, of containers without one.
    """

    least: Mapping[str, Bound] = field(default_factory=dict)
    most: Mapping[str, Bound] = field(default_factory=dict)
    ratios: Mapping[str, Ratio] = field(default_factory=dict)
    limits: Mapping[str, Bound] = field(default_factory=dict)
    requests: Mapping[str, Bound] = field(default_factory=dict)

    def sets_limit(self, resource: str) -> bool:
        """Whether a container must have a limit, or gets one that may be too small."""
        return any(resource in bounds for bounds in (self.most, self.ratios, self.limits))


@dataclass(frozen=True)
class Limits:
    """The LimitRanges of a namespace."""

    container: TypeLimits = TypeLimits()
    pod: TypeLimits = TypeLimits()
    claim: TypeLimits = TypeLimits()

    @classmethod
    def of(cls, items: Iterable[tuple[str, Mapping[str, Any]]]) -> "Limits":
        """Combines items of LimitRanges.

        Args:
            items: Each with the name of its LimitRange, in the form of ``spec.limits``.

        Raises:
            ValueError: An amount is not a quantity.
        """
        known = tuple(items)
        return cls(*(_of_type(known, t) for t in ("Container", "Pod", "PersistentVolumeClaim")))


NO_LIMITS = Limits()


def _of_type(items: Iterable[tuple[str, Mapping[str, Any]]], kind: str) -> TypeLimits:
    least: dict[str, Bound] = {}
    most: dict[str, Bound] = {}
    ratios: dict[str, Ratio] = {}
    limits: dict[str, Bound] = {}
    requests: dict[str, Bound] = {}
    for origin, item in items:
        if item.get("type") != kind:
            continue
        for resource, bound in _bounds(item, "min", origin):
            least[resource] = max(bound, least.get(resource, bound), key=_amount)
        for resource, bound in _bounds(item, "max", origin):
            most[resource] = min(bound, most.get(resource, bound), key=_amount)
        # The API server completes these; a file of facts may leave them out.
        for resource, bound in (*_bounds(item, "default", origin), *_bounds(item, "max", origin)):
            limits.setdefault(resource, bound)
        for name in ("defaultRequest", "default", "max", "min"):
            for resource, bound in _bounds(item, name, origin):
                requests.setdefault(resource, bound)
        for resource, text in (item.get("maxLimitRequestRatio") or {}).items():
            ratio = Ratio(quantity.parse_quantity(text), origin)
            ratios[resource] = min(ratio, ratios.get(resource, ratio), key=lambda r: r.value)
    return TypeLimits(least, most, ratios, limits, requests)


def _bounds(item: Mapping[str, Any], name: str, origin: str) -> Iterable[tuple[str, Bound]]:
    for resource, text in (item.get(name) or {}).items():
        if resource in AMOUNTS:
            yield resource, Bound(AMOUNTS[resource](text), origin)


def _amount(bound: Bound) -> int:
    return bound.amount
