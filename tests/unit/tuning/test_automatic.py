"""When measurements change numbers: the mode, its preconditions, and frozen numbers."""

from typing import Any

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
