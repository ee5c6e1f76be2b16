"""The memory that a running pod may get: within the spec, the profile and the LimitRanges."""

from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.limit_ranges import Limits
from fastapi_operator.profiles import Profile
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import LeakGuardPlan
from tests.unit.services import service

MIB = 2**20
FACTS = Facts()
CEILING = {"small": Profile(ceilings={"resources.limits.memory": "400Mi"})}
LIMIT_RANGE = Limits.of([("small", {"type": "Container", "max": {"memory": "300Mi"}})])


def guard(facts: Facts = FACTS, **spec: Any) -> LeakGuardPlan | None:
    spec = {"resources": {"limits": {"memory": "256Mi"}}, **spec}
    return derive(service(**spec), Settings(profiles=CEILING), facts).leak_guard


@pytest.mark.parametrize(
    ("facts", "spec", "mebibytes"),
    [
        (FACTS, {}, 512),
        (FACTS, {"tuning": {"resize": {"maxMemory": "1Gi"}}}, 1024),
        (FACTS, {"profile": "small"}, 400),
        (FACTS, {"profile": "small", "tuning": {"resize": {"maxMemory": "1Gi"}}}, 400),
        (Facts(limits={"default": LIMIT_RANGE}), {}, 300),
    ],
)
def test_the_most_memory_of_a_running_pod(
    facts: Facts, spec: dict[str, Any], mebibytes: int
) -> None:
    tuning = {"leakGuard": "Automatic", **spec.get("tuning", {})}
    plan = guard(facts, **{**spec, "tuning": tuning})
    assert plan is not None
    assert plan.automatic
    assert plan.memory_most_bytes.value == mebibytes * MIB


@pytest.mark.parametrize("tuning", [{}, {"leakGuard": "Disabled"}, {"mode": "Recommend"}])
def test_without_the_guard_there_is_no_number(tuning: dict[str, Any]) -> None:
    assert guard(tuning=tuning) is None


def test_limits_of_running_pods_need_not_be_raised() -> None:
    plan = guard(tuning={"leakGuard": "Automatic", "resize": {"mode": "Disabled"}})
    assert plan is not None
    assert not plan.resizes


def test_a_recommendation_is_not_automatic() -> None:
    plan = guard(tuning={"leakGuard": "Recommend"})
    assert plan is not None
    assert not plan.automatic
