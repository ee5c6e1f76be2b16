"""When measurements change numbers: the mode, its preconditions, and frozen numbers."""

from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.problems import Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.automatic import is_automatic
from fastapi_operator.tuning.decision import Source
from fastapi_operator.tuning.derive import derive, derive_accepted
from fastapi_operator.tuning.measurements import Figure, Measurements
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import service

ACCEPTED = Measurements.accepted(
    {"worker_memory_bytes": Figure(value=88 * 2**20, seconds=604_800, count=1_000_000)}
)
CANARY: dict[str, Any] = {"rollout": {"canary": {}}}
FLEET = Settings.from_mapping(
    {"profiles": {"fleet": {"defaults": {"tuning": {"mode": "Automatic"}}}}}
)


def memory_source(plan: Plan) -> Source:
    return plan.compute.memory_limit_bytes.source


def test_accepted_figures_count_in_mode_automatic_only() -> None:
    for mode, source in (("Automatic", Source.TUNED), ("Recommend", Source.DERIVED)):
        shop = service(tuning={"mode": mode}, **CANARY)
        assert memory_source(derive_accepted(shop, Settings(), Facts(), ACCEPTED)) is source
    frozen = {"mode": "Automatic", "freeze": ["compute.memory_limit_bytes"]}
    shop = service(tuning=frozen, **CANARY)
    assert memory_source(derive_accepted(shop, Settings(), Facts(), ACCEPTED)) is Source.DERIVED


@pytest.mark.parametrize(
    ("bound", "memory"),
    [
        ({"min": "96Mi", "max": "1Gi"}, "160Mi"),
        ({"min": "192Mi"}, "192Mi"),
        # The value without a measurement, 256Mi, is always permitted.
        ({"min": "1Gi"}, "256Mi"),
        ({"max": "96Mi"}, "160Mi"),
    ],
)
def test_bounds_limit_how_far_a_measurement_lowers_a_number(
    bound: dict[str, str], memory: str
) -> None:
    tuning = {"mode": "Automatic", "bounds": [{"name": "compute.memory_limit_bytes", **bound}]}
    shop = service(tuning=tuning, **CANARY)
    assert derive(shop, Settings(), Facts()).compute.memory_limit_bytes.display() == "256Mi"
    found = derive_accepted(shop, Settings(), Facts(), ACCEPTED).compute.memory_limit_bytes
    assert found.display() == memory
    assert ("spec.tuning.bounds" in found.reason) is (memory != "160Mi")


def test_bounds_limit_how_far_a_measurement_raises_a_number() -> None:
    blocking = Figure(value=1500, seconds=604_800, count=1_000_000)
    accepted = Measurements.accepted({"blocking_milliseconds_per_request": blocking})
    for most, threads in ((64, 64), (16, 40)):
        tuning = {"mode": "Automatic", "bounds": [{"name": "server.threads", "max": most}]}
        shop = service(tuning=tuning, **CANARY)
        assert derive_accepted(shop, Settings(), Facts(), accepted).server.threads.value == threads


def test_what_the_spec_sets_wins_over_an_accepted_figure() -> None:
    limits = {"limits": {"memory": "1Gi"}}
    shop = service(tuning={"mode": "Automatic"}, resources=limits, **CANARY)
    plan = derive_accepted(shop, Settings(), Facts(), ACCEPTED)
    assert memory_source(plan) is Source.SPEC


def test_a_profile_may_have_the_mode_for_services_that_cannot_try_numbers() -> None:
    plan = derive(service(profile="fleet"), FLEET, Facts())
    assert not is_automatic(plan.spec)
    (problem,) = [item for item in plan.problems if item.path == "spec.tuning.mode"]
    assert problem.severity is Severity.WARNING
    assert "until then, numbers are only recommended" in problem.remedy
    assert is_automatic(derive(service(profile="fleet", **CANARY), FLEET, Facts()).spec)
