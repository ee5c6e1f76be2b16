"""Requests and limits of a container: derived, set by ``spec.parts``, within the LimitRanges."""

import re
from collections.abc import Mapping
from typing import Any

from fastapi_operator.api.compute import Resources
from fastapi_operator.limit_ranges import AMOUNTS, CPU, FORMATS, MEMORY
from fastapi_operator.parts import Part
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning import figures

_Pair = tuple[int | None, int | None]
_SIDES = ("requests", "limits")
# The number of one of several containers that have the same settings.
_NUMBER = re.compile("-[0-9]+$")


def with_amounts(
    inputs: Inputs, part: Part, container: Mapping[str, Any], *, is_main: bool = False
) -> dict[str, Any]:
    """Returns a container with the requests and limits with which its pod is admitted.

    Args:
        inputs: The service.
        part: The part that the pod belongs to.
        container: The container, with derived amounts; a user's may have none.
        is_main: Whether ``resources`` of the part applies, and not ``containers``.
    """
    built = container.get("resources") or {}
    pairs = {
        resource: _within_limits(
            inputs,
            resource,
            _chosen(
                (_amount(built, "requests", resource), _amount(built, "limits", resource)),
                _given(inputs, part, container["name"], resource, is_main=is_main),
            ),
        )
        for resource in (CPU, MEMORY)
    }
    resources = dict(built)
    for index, side in enumerate(_SIDES):
        amounts = dict(built.get(side) or {})
        for resource, pair in pairs.items():
            amount = pair[index]
            if amount is not None and amount != _amount(built, side, resource):
                amounts[resource] = FORMATS[resource](amount)
        if amounts:
            resources[side] = amounts
    return {**container, **({"resources": resources} if resources else {})}


def _given(inputs: Inputs, part: Part, container: str, resource: str, *, is_main: bool) -> _Pair:
    """Returns what ``spec.parts`` sets for a container."""
    settings = inputs.settings_of(part)
    if not is_main:
        other = (settings.containers or {}).get(_NUMBER.sub("", container))
        return _of_spec(other.resources if other else None, resource)
    request, limit = _of_spec(settings.resources, resource)
    # The other two amounts are numbers of the plan, which are within the ceilings of a profile.
    return (None, limit) if resource == CPU else (request, None)


def _of_spec(resources: Resources | None, resource: str) -> _Pair:
    texts = [getattr(getattr(resources, side, None), resource, None) for side in _SIDES]
    request, limit = (None if text is None else AMOUNTS[resource](text) for text in texts)
    return request, limit


def _amount(resources: Mapping[str, Any], side: str, resource: str) -> int | None:
    text = (resources.get(side) or {}).get(resource)
    return None if text is None else AMOUNTS[resource](text)


def _chosen(derived: _Pair, given: _Pair) -> _Pair:
    """Returns the given request and limit; a derived one follows a given one."""
    request = derived[0] if given[0] is None else given[0]
    limit = derived[1] if given[1] is None else given[1]
    if request is None or limit is None or request <= limit:
        return request, limit
    return (limit, limit) if given[0] is None else (request, request)


def _within_limits(inputs: Inputs, resource: str, pair: _Pair) -> _Pair:
    """Raises amounts to the least of the LimitRanges, and adds a limit if one is needed."""
    limits, (request, limit) = inputs.limits.container, pair
    least, ratio = limits.least.get(resource), limits.ratios.get(resource)
    if least is not None:
        request = None if request is None else max(request, least.amount)
        limit = None if limit is None else max(limit, least.amount)
    if resource == CPU and limit is None:
        limit = _required_cpu_limit(inputs, request)
    if ratio is not None and request is not None and limit is not None:
        request = max(request, ratio.least_request(limit))
    return request, limit


def _required_cpu_limit(inputs: Inputs, request: int | None) -> int | None:
    """Returns a CPU limit if the profile or a LimitRange requires one, else None."""
    limits = inputs.limits.container
    # A container without a request gets the defaults of the LimitRange, which fit each other.
    required_here = request is not None and limits.sets_limit(CPU)
    if not inputs.profile.cpu_limits and not required_here:
        return None
    limit, request = figures.CPU_LIMIT_MILLICORES_PER_WORKER, request or 0
    if CPU in limits.most:
        limit = min(limit, limits.most[CPU].amount)
    if CPU in limits.ratios and request:
        limit = min(limit, limits.ratios[CPU].most_limit(request))
    return max(limit, request)
