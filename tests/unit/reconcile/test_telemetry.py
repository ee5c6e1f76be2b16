"""The metrics of services: planned values and problems, as long as they exist."""

from fastapi_operator.api.status import Condition
from fastapi_operator.facts import Facts
from fastapi_operator.observability.planned import PLANNED
from fastapi_operator.reconcile.loop.telemetry import Telemetry
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import service

SHOP = ServiceKey("team", "shop")
LABELS = {"namespace": "team", "fastapi_operator_io_service": "shop"}


def condition(kind: str, status: str, reason: str) -> Condition:
    return Condition.model_validate(
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": "",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    )


def answer(ready: str = "True", reason: str = "Ready") -> list[Condition]:
    return [
        condition("Ready", ready, reason),
        condition("Reconciling", "False", "Done"),
        condition("Stalled", "False", "NotStalled"),
        condition("DatabaseReady", "True", "Ready"),
    ]


def plan(**spec: object) -> Plan:
    return derive(service(**spec), Settings(), Facts())


def series(telemetry: Telemetry, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric by the labels that are not the service's."""
    return {
        tuple(text for label, text in sample.labels.items() if label not in LABELS): sample.value
        for family in telemetry.registry.collect()
        for sample in family.samples
        if sample.name == name and sample.labels.items() >= LABELS.items()
    }


def test_planned_values_exist_as_long_as_their_service() -> None:
    telemetry = Telemetry()
    telemetry.service(SHOP, answer(), plan(postgres={}))
    found_text = series(telemetry, "fastapi_operator_planned")
    assert found_text["database.max_connections",] > 0
    assert {name for (name,) in found_text} <= PLANNED
    telemetry.service(SHOP, answer(), plan(scaling={"minReplicas": 3, "maxReplicas": 9}))
    found_text = series(telemetry, "fastapi_operator_planned")
    assert found_text["scaling.max_replicas",] == 9
    assert ("database.max_connections",) not in found_text
    telemetry.forget(SHOP)
    assert not series(telemetry, "fastapi_operator_planned")


def test_an_invalid_spec_keeps_the_last_planned_values() -> None:
    telemetry = Telemetry()
    telemetry.service(SHOP, answer(), plan())
    before = series(telemetry, "fastapi_operator_planned")
    telemetry.service(SHOP, answer("False", "InvalidSpec"), None)
    assert series(telemetry, "fastapi_operator_planned") == before


def test_conditions_are_exposed_only_while_they_show_a_problem() -> None:
    telemetry = Telemetry()
    telemetry.service(SHOP, answer(), plan())
    assert not series(telemetry, "fastapi_operator_condition")
    troubled = [
        condition("Ready", "False", "MigrationFailed"),
        condition("Reconciling", "False", "MigrationFailed"),
        condition("Stalled", "True", "MigrationFailed"),
        condition("MigrationsReady", "False", "MigrationFailed"),
        condition("DatabaseReady", "True", "Ready"),
    ]
    telemetry.service(SHOP, troubled, plan())
    assert series(telemetry, "fastapi_operator_condition") == {
        ("Stalled", "MigrationFailed"): 1,
        ("MigrationsReady", "MigrationFailed"): 1,
    }
    telemetry.service(SHOP, answer(), plan())
    assert not series(telemetry, "fastapi_operator_condition")


def test_a_service_is_counted_once_by_its_readiness() -> None:
    telemetry = Telemetry()
    telemetry.service(SHOP, answer("False", "RollingOut"), plan())
    telemetry.service(SHOP, answer(), plan())

    def count(ready: str, reason: str) -> float | None:
        labels = {"ready": ready, "reason": reason}
        return telemetry.registry.get_sample_value("fastapi_operator_services", labels)

    assert (count("True", "Ready"), count("False", "RollingOut")) == (1, 0)
    telemetry.forget(SHOP)
    assert count("True", "Ready") == 0


def test_a_full_service_has_few_series() -> None:
    telemetry = Telemetry()
    everything = plan(postgres={}, redis={}, queue={}, observability={"slo": {}})
    telemetry.service(SHOP, answer(), everything)
    assert {name for (name,) in series(telemetry, "fastapi_operator_planned")} == PLANNED


def test_all_outcomes_start_at_zero() -> None:
    """Else the first failure of a kind is a series that begins with one, and increases nothing."""
    ask = Telemetry().registry.get_sample_value
    name = "fastapi_operator_pass_duration_seconds_count"
    assert [ask(name, {"outcome": what}) for what in ("error", "refused", "retry")] == [0, 0, 0]
