"""Quantities that contradict each other; CEL cannot compare them, so the plan does."""

from collections.abc import Iterator

from fastapi_operator import quantity
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.compute import amounts


def contradictions(spec: Spec) -> Iterator[Problem]:
    """What of a spec's quantities contradicts itself, each with the field to mend."""
    sections = [("spec.resources", spec.resources)]
    if spec.postgres is not None:
        sections.append(("spec.postgres.resources", spec.postgres.resources))
    for kind, entries in (("background", spec.background), ("schedules", spec.schedules)):
        sections += [
            (f"spec.{kind}[{entry.name}].resources", entry.resources) for entry in entries or ()
        ]
    for path, resources in sections:
        given = amounts(resources)
        for name, request, limit in (
            ("cpu", given.cpu_request, given.cpu_limit),
            ("memory", given.memory_request, given.memory_limit),
        ):
            if request is not None and limit is not None and request > limit:
                yield Problem(
                    severity=Severity.ERROR,
                    stage=Stage.PLAN,
                    path=f"{path}.requests.{name}",
                    message="the request exceeds the limit",
                    remedy="lower the request or raise the limit",
                )
        minimum = figures.WORKER_MEMORY_BYTES
        memory = given.memory_limit
        if path != "spec.postgres.resources" and memory is not None and memory < minimum // 2:
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path=f"{path}.limits.memory",
                message=f"{memory} bytes do not hold one process",
                remedy=f"set at least {minimum // figures.MIB}Mi",
            )
    for path, given_memory in (
        ("spec.redis.memory", spec.redis.memory if spec.redis else None),
        ("spec.queue.memory", spec.queue.memory if spec.queue else None),
    ):
        least = figures.REDIS_MEMORY_MIN_BYTES
        if given_memory is not None and quantity.size_bytes(given_memory) < least:
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path=path,
                message=f"{given_memory} does not hold the server itself",
                remedy=f"set at least {quantity.format_bytes(least)}",
            )
