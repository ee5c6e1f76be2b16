"""``tuning.mode: Automatic`` and ``tuning.freeze``: when measurements change numbers."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi_operator.api import fields
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.canary import canary_section
from fastapi_operator.tuning.number import declared

AUTOMATIC = "Automatic"


def is_automatic(spec: Spec) -> bool:
    """Whether accepted figures change numbers of a service."""
    return _is_requested(spec) and _obstacle(spec) is None


def tuning_problems(spec: Spec, written: Mapping[str, Any]) -> Iterator[Problem]:
    """Reports unknown numbers, and why no trial is possible.

    Args:
        spec: The spec with the defaults of its profile.
        written: The spec as the user wrote it: a profile may have the mode for every service.
    """
    tunable = {number.name for number in declared() if number.tunable}
    frozen = (spec.tuning.freeze or ()) if spec.tuning is not None else ()
    for index, name in enumerate(frozen):
        if name not in tunable:
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path=f"spec.tuning.freeze[{index}]",
                message=f"{name} is not a number that measurements change",
                remedy=f"use {', '.join(sorted(tunable))}",
            )
    obstacle = _obstacle(spec) if _is_requested(spec) else None
    if obstacle is not None:
        message, remedy = obstacle
        is_written = fields.value_at(written, ("tuning", "mode")) == AUTOMATIC
        yield Problem(
            severity=Severity.ERROR if is_written else Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.tuning.mode",
            message=message,
            remedy=f"{remedy}, or set mode: Recommend"
            if is_written
            else f"{remedy}; until then, numbers are only recommended",
        )


def _is_requested(spec: Spec) -> bool:
    return spec.tuning is not None and spec.tuning.mode == AUTOMATIC


def _obstacle(spec: Spec) -> tuple[str, str] | None:
    """Returns why numbers cannot be tried, and the remedy; None if they can."""
    if canary_section(spec) is not None:
        return None
    return (
        "Automatic tries numbers in a canary, and there is none",
        f"set spec.rollout.canary, for example steps: {list(figures.CANARY_STEPS)}",
    )
