"""The stage of a canary for which the objects are built."""

from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, Phase
from fastapi_operator.reconcile.plan.canary_course import Course
from fastapi_operator.resources.stage import Stage
from fastapi_operator.tuning.canary import Divider

# The phases in which the pods of the released version must not be replaced on request.
RUNNING = frozenset({Phase.STARTING, Phase.PROGRESSING, Phase.HOLDING, Phase.PROMOTING})


def stage_of(record: CanaryRecord | None, course: Course | None, *, settled: bool) -> Stage | None:
    """Returns the stage that the objects are built for; None without a canary.

    Args:
        record: The record.
        course: The steps.
        settled: Whether all proxies have read the configuration without a share for a canary that
            failed; only then are its pods reachable again, for people who test it.
    """
    if record is None or course is None or record.phase not in RUNNING:
        return None
    if record.phase is Phase.PROMOTING and record.step == 0:
        return None
    has_begun = record.phase is not Phase.STARTING
    # A Gateway knows the Service only while the canary has a share. Then its pods must be found.
    is_open = course.divided_by is Divider.GATEWAY or (has_begun and (settled or not record.failed))
    return Stage(
        canary=record.id,
        step=record.step,
        percent=0 if record.failed else course.share(record.step),
        replicas=record.pods,
        open=is_open,
    )


def closed_stage(record: CanaryRecord) -> Stage:
    """Returns the stage whose Service selects no pods: it ends a share at once."""
    return Stage(canary=record.id, step=record.step, percent=0, replicas=record.pods, open=False)
