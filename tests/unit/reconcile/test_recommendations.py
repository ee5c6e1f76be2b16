"""The recommendations of a status change only if the measurements do."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_operator.api.status import RecommendationStatus
from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.plan.recommendations import (
    next_recommendations,
    recommendations_in_force,
)
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.measurements import Measurements
from fastapi_operator.views.recommendation import advise
from tests.unit.services import service

DAY, WEEK = 86_400.0, 7 * 86_400.0
MIB = 2**20
DATABASE: dict[str, Any] = {"resources": {"limits": {"cpu": "4", "memory": "4Gi"}}}
Stored = tuple[RecommendationStatus, ...]


def measured(memory: float = 88 * MIB, hold: float = 24.0, count: int = 500_000) -> Measurements:
    figure = {"seconds": DAY, "count": count}
    return Measurements.from_mapping(
        {
            "busyShare": 0.3,
            "poolWaitMilliseconds": 9.4,
            "figures": {
                "databaseMillisecondsPerRequest": {"value": hold, **figure},
                "workerMemoryBytes": {"value": memory, **figure},
            },
        }
    )


def following(before: Stored, found: Measurements, seconds: float = DAY, **spec: Any) -> Stored:
    shop = service(**{"postgres": DATABASE, **spec})
    advice = advise(shop, Settings(), Facts(), found)
    return next_recommendations(before, advice, found, seconds=seconds)


def by_number(found: Stored) -> dict[str, RecommendationStatus]:
    return {item.number: item for item in found}


def test_a_recommendation_has_its_evidence_and_its_effects() -> None:
    found = by_number(following((), measured()))
    assert found["compute.memory_limit_bytes"].model_dump(by_alias=True) == {
        "number": "compute.memory_limit_bytes",
        "now": "256Mi",
        "better": "160Mi",
        "evidence": "workerMemoryBytes 88Mi (500,000 requests in 24 h)",
        "confidence": "Medium",
        "latency": "none; a fifth for growth and a fifth of the limit stay free",
        "cpuMillicores": 0,
        "memoryBytes": -2 * 96 * MIB,
        "disruption": "rollout",
    }
    assert found["pool.size"].latency == "shorter: a checkout waits 9.4 ms now"


def test_confidence_grows_with_a_week_and_does_not_shrink_again() -> None:
    stored = following((), measured())
    sure = following(stored, measured(), WEEK)
    assert {item.confidence for item in sure} == {"High"}
    assert following(sure, measured(), DAY) == sure


@given(st.floats(0.96, 1.04), st.floats(0.96, 1.04))
@settings(max_examples=6)
def test_noise_changes_no_recommendation(memory: float, hold: float) -> None:
    stored = following((), measured())
    noisy = measured(88 * MIB * memory, 24.0 * hold)
    assert following(stored, measured()) == stored
    assert following(stored, noisy) == stored


@given(st.floats(8, 200), st.floats(0.1, 60))
@settings(max_examples=10)
def test_the_same_measurement_changes_nothing_and_a_small_gain_is_silent(
    memory: float, hold: float
) -> None:
    found = measured(memory * MIB, hold)
    stored = following((), found)
    assert following(stored, found) == stored
    plan = derive(service(postgres=DATABASE), Settings(), Facts())
    now = plan.compute.memory_limit_bytes.value
    better = derive(service(postgres=DATABASE), Settings(), Facts(), found)
    gain = abs(better.compute.memory_limit_bytes.value - now) / now
    assert ("compute.memory_limit_bytes" in by_number(stored)) == (gain >= 0.1)


def test_a_recommendation_stays_without_data_and_goes_when_nothing_is_to_be_won() -> None:
    stored = following((), measured())
    assert following(stored, measured(count=10)) == stored
    assert "compute.memory_limit_bytes" not in by_number(following(stored, measured(160 * MIB)))
    moved = by_number(following(stored, measured(120 * MIB)))
    assert moved["compute.memory_limit_bytes"].better != "160Mi"


@pytest.mark.parametrize(
    "spec",
    [
        {"resources": {"limits": {"memory": "160Mi"}}},
        {"server": {"workerPolicy": "Fixed", "workers": 3}},
        {"tuning": {"mode": "Disabled"}},
    ],
)
def test_a_number_with_another_value_has_no_recommendation(spec: dict[str, Any]) -> None:
    stored = following((), measured())
    before = {"recommendations": [item.model_dump(by_alias=True) for item in stored]}
    same = derive(service(postgres=DATABASE), Settings(), Facts())
    assert recommendations_in_force(None, before, same) == stored
    assert recommendations_in_force(None, before, None) == stored
    plan = derive(service(postgres=DATABASE, **spec), Settings(), Facts())
    left = by_number(recommendations_in_force(None, before, plan))
    assert "compute.memory_limit_bytes" not in left
    assert recommendations_in_force((), before, same) == ()
