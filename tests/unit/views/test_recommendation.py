"""The recommendations of a measurement, and the patch that makes them permanent."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings

from fastapi_operator.api.parse import parse_service
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.measurements import Measurements
from fastapi_operator.tuning.number import declared
from fastapi_operator.views.recommendation import Advice, Recommendation, advise
from fastapi_operator.views.spec_patch import merged, spec_patch
from tests.unit.services import SPECS, body, service
from tests.unit.tuning.test_measurements import ENOUGH, measured

DATABASE: dict[str, Any] = {"postgres": {"resources": {"limits": {"cpu": "16", "memory": "64Gi"}}}}


def advice(spec: dict[str, Any], measurements: Measurements) -> Advice:
    return advise(service(**spec), Settings(), Facts(), measurements)


def only(spec: dict[str, Any], measurements: Measurements) -> Recommendation:
    (item,) = advice(spec, measurements).recommendations
    return item


def test_a_recommendation_has_both_values_evidence_and_effect() -> None:
    found = advice({}, measured(worker_memory_bytes=90 * 2**20))
    (item,) = found.recommendations
    assert item.record() == {
        "number": "compute.memory_limit_bytes",
        "now": 256 * 2**20,
        "better": 160 * 2**20,
        "unit": "",
        "reason": item.better.reason,
        "evidence": ["workerMemoryBytes 96Mi (1,000,000 requests in 7 days)"],
        # Two pods are the fewest.
        "effect": {
            "latency": item.latency,
            "cpuMillicores": 0,
            "memoryBytes": -2 * 96 * 2**20,
        },
        "disruption": "rollout",
    }
    assert found.memory_bytes == 2 * 96 * 2**20
    assert [change.decision.name for change in found.followers] == ["compute.memory_request_bytes"]


def test_the_effect_names_what_was_measured() -> None:
    slow = measured(database_milliseconds_per_request=20)
    slow = slow.model_copy(update={"pool_wait_milliseconds": 12.0})
    assert only(DATABASE, slow).latency == "shorter: a checkout waits 12 ms now"


@pytest.mark.parametrize("number", [number for number in declared() if number.tunable])
def test_every_tunable_number_has_an_effect_on_response_times(number: Any) -> None:
    names = {item.better.name for item in _everything()}
    assert number.name in names


def _everything() -> list[Recommendation]:
    """Returns a recommendation for each number that a measurement can change."""
    two = {"resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}
    fast = measured(
        blocking_milliseconds_per_request=200,
        database_milliseconds_per_request=20,
        p95_milliseconds=300,
        worker_memory_bytes=90 * 2**20,
        cpu_cores_per_worker=0.1,
        peak_requests_per_second=50_000,
    )
    large = measured(worker_memory_bytes=600 * 2**20)
    return [
        *advice(DATABASE, fast).recommendations,
        *advice(two, large).recommendations,
    ]


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (20, "spec.traffic.cpuMillisecondsPerRequest is 20, and 3.1 ms (1,000,000 requests in "),
        # Of whole milliseconds, 4 is the one above 3.1.
        (4, ""),
        (None, ""),
    ],
)
def test_a_wrong_fact_of_the_spec_is_reported_and_kept(declared: int | None, text: str) -> None:
    traffic = {"traffic": {"cpuMillisecondsPerRequest": declared}} if declared else {}
    found = advice(traffic, measured(cpu_milliseconds_per_request=3.1))
    assert "".join(found.contradictions).startswith(text)
    assert len(found.contradictions) == bool(text)
    if declared:
        assert found.recommendations == ()


def test_a_difference_below_a_tenth_is_not_recommended() -> None:
    spec = {"server": {"workerPolicy": "Fixed", "workers": 8}}
    near = advice(spec, measured(worker_memory_bytes=168 * 2**20))
    (now, then) = (plan.compute.memory_limit_bytes.value for plan in (near.now, near.better))
    assert 0 < then - now < figures.GAIN_MIN * now
    assert near.recommendations == ()
    assert spec_patch(near, Settings(), Facts(), measured()).spec == {}


def test_the_patch_has_the_facts_of_the_load_and_the_fields_that_they_do_not_express() -> None:
    found = measured(
        database_milliseconds_per_request=19.5,
        cpu_milliseconds_per_request=3.2,
        worker_memory_bytes=90 * 2**20,
    )
    patch = spec_patch(advice(DATABASE, found), Settings(), Facts(), found)
    assert patch.spec == {
        "traffic": {"cpuMillisecondsPerRequest": 4, "databaseMillisecondsPerRequest": 20},
        "resources": {"limits": {"memory": "160Mi"}},
    }
    assert patch.differences == ("pool.size will be 15 connections instead of 17 connections",)


def test_with_accepted_figures_only_other_numbers_are_recommended_and_the_patch_has_all() -> None:
    spec = {**DATABASE, "rollout": {"canary": {}}, "tuning": {"mode": "Automatic"}}
    memory = measured(worker_memory_bytes=90 * 2**20)
    accepted = Measurements.accepted(memory.rounded())
    both = measured(worker_memory_bytes=90 * 2**20, database_milliseconds_per_request=24)
    for found in (both, measured(database_milliseconds_per_request=24)):
        advised = advise(service(**spec), Settings(), Facts(), found, accepted)
        assert {item.better.name for item in advised.recommendations} == {"pool.size"}
        patch = spec_patch(advised, Settings(), Facts(), found)
        assert patch.spec["resources"] == {"limits": {"memory": "160Mi"}}
        assert patch.spec["traffic"] == {"databaseMillisecondsPerRequest": 24}
    # In another mode, nothing is accepted.
    recommended = advise(service(**DATABASE), Settings(), Facts(), both, accepted)
    assert len(recommended.recommendations) == 2


def test_less_memory_keeps_the_workers() -> None:
    # By the constants, 352 MiB hold one worker.
    spec = {"resources": {"limits": {"cpu": "2"}}}
    found = measured(worker_memory_bytes=90 * 2**20)
    patch = spec_patch(advice(spec, found), Settings(), Facts(), found)
    assert patch.spec["server"] == {"workerPolicy": "Fixed", "workers": 2}
    assert patch.differences == ()


@given(SPECS, ENOUGH)
@settings(max_examples=50)
def test_a_patch_keeps_the_spec_and_gives_the_recommended_numbers(
    spec: dict[str, Any], measurements: Measurements
) -> None:
    found = advice(spec, measurements)
    patch = spec_patch(found, Settings(), Facts(), measurements)
    after = merged(spec, patch.spec)
    assert _contains(after, spec)
    parsed, problems = parse_service(body(dict(after)))
    assert parsed is not None, problems
    plan = derive(parsed, Settings(), Facts())
    assert _errors(plan) <= _errors(found.now)
    named = {difference.partition(" ")[0] for difference in patch.differences}
    values = {decision.name: decision.value for decision in plan.decisions()}
    for item in found.recommendations:
        assert values[item.better.name] == item.better.value or item.better.name in named
        # A field of its own gives the exact value, unless the spec sets it.
        assert item.better.number.fields == () or item.better.name not in named


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(part, Mapping):
        return all(name in whole and _contains(whole[name], item) for name, item in part.items())
    return bool(whole == part)


def _errors(plan: Any) -> set[str]:
    return {problem.path for problem in plan.problems if problem.severity is Severity.ERROR}


@given(SPECS, ENOUGH)
@settings(max_examples=50)
def test_no_recommendation_is_for_a_number_that_the_spec_sets(
    spec: dict[str, Any], measurements: Measurements
) -> None:
    for item in advice(spec, measurements).recommendations:
        assert item.now.path == ""
        assert item.evidence
        assert item.record()["effect"]["latency"]
