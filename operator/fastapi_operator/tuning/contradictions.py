"""Quantities that contradict each other. CEL cannot compare them, so the plan does."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi_operator import quantity
from fastapi_operator.api import fields
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import figures

_AMOUNTS = (("cpu", quantity.millicores), ("memory", quantity.size_bytes))


def contradictions(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Reports requests above their limits, and memory in which the process cannot start.

    Args:
        spec: The spec as written, valid by schema.
    """
    for path, resources in _resources(spec):
        for name, amount in _AMOUNTS:
            request, limit = (
                fields.value_at(resources, (kind, name)) for kind in ("requests", "limits")
            )
            if request is not None and limit is not None and amount(request) > amount(limit):
                yield _error(
                    f"{path}.requests.{name}",
                    f"the request {request} exceeds the limit {limit}",
                    "lower the request or raise the limit",
                )
        least = figures.WORKER_MEMORY_BYTES
        memory = fields.value_at(resources, ("limits", "memory"))
        if path.startswith(("spec.postgres.resources", "spec.parts.")) or memory is None:
            continue
        if quantity.size_bytes(memory) < least // 2:
            yield _error(
                f"{path}.limits.memory",
                f"{memory} is too small for one process",
                f"set at least {quantity.format_bytes(least)}",
            )
    for section in ("redis", "queue"):
        memory, least = fields.value_at(spec, (section, "memory")), figures.REDIS_MEMORY_MIN_BYTES
        if memory is not None and quantity.size_bytes(memory) < least:
            yield _error(
                f"spec.{section}.memory",
                f"{memory} is too small for the server itself",
                f"set at least {quantity.format_bytes(least)}",
            )


def _resources(spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "spec.resources", spec.get("resources") or {}
    for path in (("postgres", "resources"), ("postgres", "migrations", "resources")):
        yield f"spec.{'.'.join(path)}", fields.value_at(spec, path) or {}
    for name, part in (spec.get("parts") or {}).items():
        yield f"spec.parts.{name}.resources", part.get("resources") or {}
        for container, given in (part.get("containers") or {}).items():
            yield (
                f"spec.parts.{name}.containers[{container}].resources",
                given.get("resources") or {},
            )
    for kind in ("background", "schedules"):
        for entry in spec.get(kind) or ():
            yield f"spec.{kind}[{entry['name']}].resources", entry.get("resources") or {}


def _error(path: str, message: str, remedy: str) -> Problem:
    return Problem(Severity.ERROR, Stage.PLAN, path, message, remedy)
