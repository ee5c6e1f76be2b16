"""``tuning.mode: Automatic`` and ``tuning.freeze``: when measurements change numbers."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi_operator.api import fields
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.canary import canary_section
from fastapi_operator.tuning.number import Number, amount_of, declared

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
    tunable = {number.name: number for number in declared() if number.tunable}
    frozen = (spec.tuning.freeze or ()) if spec.tuning is not None else ()
    for index, name in enumerate(frozen):
        if name not in tunable:
            yield _unknown(f"spec.tuning.freeze[{index}]", name, tunable)
    yield from _bound_problems(spec, tunable)
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


def _bound_problems(spec: Spec, tunable: Mapping[str, Number]) -> Iterator[Problem]:
    """Reports bounds of unknown numbers, and those that no value has."""
    known = set[str]()
    for index, bound in enumerate((spec.tuning.bounds or ()) if spec.tuning is not None else ()):
        path = f"spec.tuning.bounds[{index}]"
        if bound.name not in tunable:
            yield _unknown(f"{path}.name", bound.name, tunable)
            continue
        if bound.name in known:
            yield _error(f"{path}.name", f"{bound.name} has bounds already", "merge both entries")
        known.add(bound.name)
        number, amounts = tunable[bound.name], list[int]()
        for key, written in (("min", bound.min), ("max", bound.max)):
            try:
                amount = amount_of(number, written)
            except ValueError:
                message = f"{written} is not a whole number of {number.unit}"
                yield _error(f"{path}.{key}", message, "use for example 16")
            else:
                amounts += [amount] if amount is not None else []
        if amounts != sorted(amounts):
            message = f"min {bound.min} is above max {bound.max}"
            yield _error(path, message, "lower min or raise max")


def _unknown(path: str, name: str, tunable: Mapping[str, Number]) -> Problem:
    message = f"{name} is not a number that measurements change"
    return _error(path, message, f"use {', '.join(sorted(tunable))}")


def _error(path: str, message: str, remedy: str) -> Problem:
    return Problem(Severity.ERROR, Stage.PLAN, path, message, remedy)


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
