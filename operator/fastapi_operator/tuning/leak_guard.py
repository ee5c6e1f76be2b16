"""The leak guard: how far the memory limit of a running pod may be raised."""

from fastapi_operator.api.tuning import Resize, Tuning
from fastapi_operator.limit_ranges import MEMORY
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import ComputePlan, LeakGuardPlan
from fastapi_operator.tuning.profile import ProfiledSpec

LEAK_GUARD = Group("leak_guard", effects.OBJECT_NONE)


def leak_guard_plan(profiled: ProfiledSpec, compute: ComputePlan) -> LeakGuardPlan | None:
    """Decides the numbers of the guard; None if it is disabled."""
    tuning = profiled.spec.tuning or Tuning()
    if tuning.leak_guard not in ("Recommend", "Automatic"):
        return None
    permitted = profiled.limits.container.most.get(MEMORY)
    decided = LEAK_GUARD.decide(
        profiled,
        limit_bytes=compute.memory_limit_bytes,
        permitted_bytes=permitted.amount if permitted is not None else None,
    )
    return LeakGuardPlan(
        automatic=tuning.leak_guard == "Automatic",
        resizes=(tuning.resize or Resize()).mode != "Disabled",
        **decided,
    )


@LEAK_GUARD.number(field="tuning.resize.maxMemory", ceiling="resources.limits.memory")
def _memory_most_bytes(*, limit_bytes: int, permitted_bytes: int | None) -> Because[int]:
    """2 times the limit of a new pod, at most what a LimitRange permits (judgement).

    A pod that needs more is better replaced: its memory is not reserved on the node.
    """
    most = figures.RESIZED_MEMORY_FACTOR * limit_bytes
    if permitted_bytes is not None and permitted_bytes < most:
        return Because(permitted_bytes, "a LimitRange permits at most {permitted_bytes}")
    return Because(most, "twice the limit of {limit_bytes}; a pod that needs more is replaced")
