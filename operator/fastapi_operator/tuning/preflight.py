"""The Job that imports the app of a new image: its time limits and its resources."""

from fastapi_operator.api.workload import Rollout
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import ComputePlan, PreflightPlan
from fastapi_operator.tuning.profile import ProfiledSpec

PREFLIGHT = Group("preflight", effects.OBJECT_NONE)


def preflight_plan(profiled: ProfiledSpec, compute: ComputePlan) -> PreflightPlan | None:
    """Decides the numbers of the Job; None if new images are not checked."""
    if (profiled.spec.rollout or Rollout()).preflight != "Enabled":
        return None
    return PreflightPlan(**PREFLIGHT.decide(profiled, app_memory_bytes=compute.memory_limit_bytes))


PREFLIGHT.constant(
    "deadline_seconds",
    600,
    "the image is pulled in this time; then the rollout continues without the check",
    evidence="judgement",
)
PREFLIGHT.constant(
    "import_seconds",
    60,
    "a slower import is a warning: the check cannot know the cause",
    evidence="judgement",
)
PREFLIGHT.constant(
    "cpu_request_millicores",
    figures.PREFLIGHT_CPU_MILLICORES,
    "a small request finds room on most nodes, and an import may use idle CPU",
    amount="cpu",
    evidence="judgement",
)


@PREFLIGHT.number(amount="memory")
def _memory_limit_bytes(*, app_memory_bytes: int) -> Because[int]:
    """The memory limit of an app pod.

    An import that needs more would end each of them.
    """
    return Because(app_memory_bytes, "that of an app pod: an import that needs more would end it")


@PREFLIGHT.number(amount="memory")
def _memory_request_bytes(*, memory_limit_bytes: int) -> Because[int]:
    """64 MiB, at most the limit (judgement)."""
    least = min(figures.PREFLIGHT_MEMORY_BYTES, memory_limit_bytes)
    return Because(least, "one process that ends after its import")
