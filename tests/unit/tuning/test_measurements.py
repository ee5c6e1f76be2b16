"""Measurements in ``derive``: they replace judgement, keep every invariant, overrule no one."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.decision import Source
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.effects import Disruption
from fastapi_operator.tuning.measurements import NEEDS, NOT_MEASURED, Figures, Measurements
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import SPECS, service
from tests.unit.tuning.test_invariants import INVARIANTS, errors

WEEK = 7 * 86_400
Spec = dict[str, Any]


def measured(busy: float = 0.4, shed: float = 0.0, **values: float) -> Measurements:
    """Figures of a week with a million requests."""
    return Measurements.from_mapping(
        {
            "busyShare": busy,
            "shedShare": shed,
            "figures": {
                Figures.model_fields[name].alias: {
                    "value": value,
                    "seconds": WEEK,
                    "count": 1_000_000,
                }
                for name, value in values.items()
            },
        }
    )


def plan_of(spec: Spec, measurements: Measurements = NOT_MEASURED) -> Plan:
    return derive(service(**spec), Settings(), Facts(), measurements)


def values(plan: Plan) -> dict[str, Any]:
    return {decision.name: decision.value for decision in plan.decisions()}


def _figure(least: float, most: float) -> st.SearchStrategy[Spec]:
    value = st.one_of(
        st.floats(least, most),
        st.floats(0, 1e308, allow_nan=False),
        st.sampled_from([0.0, least, most, 5e-324]),
    )
    return st.fixed_dictionaries(
        {
            "value": value,
            "seconds": st.sampled_from([0.0, 30.0, 3600.0, WEEK, 1e12]),
            "count": st.sampled_from([0, 999, 1000, 10_000, 10**15]),
        }
    )


# Plausible figures, hostile ones, and too few data.
MEASUREMENTS = st.fixed_dictionaries(
    {
        "busyShare": st.floats(0, 2) | st.floats(0, 1e308),
        "figures": st.fixed_dictionaries(
            {},
            optional={
                str(Figures.model_fields[name].alias): _figure(need.least, need.most)
                for name, need in NEEDS.items()
            },
        ),
    },
    optional={"shedShare": st.floats(0, 1)},
).map(Measurements.from_mapping)
# Each figure is used: only its value is drawn.
ENOUGH = st.fixed_dictionaries(
    {}, optional={name: st.floats(need.least, need.most) for name, need in NEEDS.items()}
).map(lambda drawn: measured(**drawn))


@given(spec=SPECS, measurements=ENOUGH | MEASUREMENTS)
def test_every_plan_holds_with_any_measurement(spec: Spec, measurements: Measurements) -> None:
    plan = plan_of(spec, measurements)
    for invariant in INVARIANTS:
        invariant(spec, plan)


@given(SPECS, ENOUGH | MEASUREMENTS)
def test_no_measurement_makes_a_service_invalid(spec: Spec, measurements: Measurements) -> None:
    assert set(errors(plan_of(spec, measurements))) <= set(errors(plan_of(spec)))


@given(SPECS, ENOUGH | MEASUREMENTS)
def test_what_the_spec_sets_is_never_overruled(spec: Spec, measurements: Measurements) -> None:
    after = {decision.name: decision for decision in plan_of(spec, measurements).decisions()}
    for before in plan_of(spec).decisions():
        if before.source is Source.SPEC:
            assert after[before.name] == before
    traffic = spec.get("traffic", {})
    for decision in after.values():
        for name in decision.figures:
            assert Figures.model_fields[name].alias not in traffic


@given(SPECS, ENOUGH | MEASUREMENTS)
def test_only_tunable_numbers_are_tuned_and_none_that_needs_a_restart_changes(
    spec: Spec, measurements: Measurements
) -> None:
    before = values(plan_of(spec))
    for decision in plan_of(spec, measurements).decisions():
        if decision.source is Source.TUNED:
            assert decision.number.tunable
            assert decision.figures
        if decision.disruption is Disruption.RESTART:
            assert decision.value == before[decision.name]
        if decision.name.startswith(("database.", "postgres.", "cache.", "queue.")):
            assert decision.value == before[decision.name]


@given(SPECS)
def test_a_figure_that_is_equal_to_its_constant_changes_nothing(spec: Spec) -> None:
    constants = measured(
        cpu_milliseconds_per_request=figures.CPU_MILLISECONDS_PER_REQUEST,
        p95_milliseconds=figures.P95_MILLISECONDS,
        database_milliseconds_per_request=figures.DATABASE_MILLISECONDS_PER_REQUEST,
        worker_memory_bytes=figures.WORKER_MEMORY_BYTES,
    )
    assert plan_of(spec, constants) == plan_of(spec)


EVERY = {name: max(need.least, 1) for name, need in NEEDS.items()} | {
    "worker_memory_bytes": 400 * 2**20,
    "requests_in_flight_per_worker": 200,
    "peak_requests_per_second": 50_000,
    "cpu_cores_per_worker": 0.1,
    "blocking_milliseconds_per_request": 100,
    "p95_milliseconds": 300,
}
DATABASE: Spec = {"postgres": {"resources": {"limits": {"cpu": "16", "memory": "64Gi"}}}}


@pytest.mark.parametrize("name", NEEDS)
def test_each_figure_changes_a_number_only_with_enough_data(name: str) -> None:
    need, value = NEEDS[name], EVERY[name]
    assert values(plan_of(DATABASE, measured(**{name: value}))) != values(plan_of(DATABASE))
    figure = getattr(measured(**{name: value}).figures, name)
    for less in ({"count": need.requests - 1}, {"seconds": need.seconds - 1}):
        few = Figures(**{name: figure.model_copy(update=less)})
        assert plan_of(DATABASE, Measurements(busy_share=0.4, figures=few)) == plan_of(DATABASE)
        (reason,) = Measurements(busy_share=0.4, figures=few).unused()
        assert "needed" in reason


@pytest.mark.parametrize(
    ("name", "busy", "shed"),
    [
        *((name, 0.9, 0.0) for name, need in NEEDS.items() if need.calm),
        *((name, 0.4, 0.01) for name, need in NEEDS.items() if need.calm),
        *((name, 0.01, 0.0) for name, need in NEEDS.items() if need.busy),
    ],
)
def test_a_load_that_falsifies_a_figure_keeps_it_out(name: str, busy: float, shed: float) -> None:
    false = measured(busy, shed, **{name: EVERY[name]})
    assert plan_of(DATABASE, false) == plan_of(DATABASE)
    assert len(list(false.unused())) == 1


@pytest.mark.parametrize(
    ("name", "busy", "waiting", "usable"),
    [
        ("blocking_milliseconds_per_request", 0.3, 12.0, True),
        # Requests queue for something else, or also for the event loop.
        ("blocking_milliseconds_per_request", 0.3, 0.2, False),
        ("blocking_milliseconds_per_request", 0.9, 12.0, False),
        # Its waits for a thread are in it.
        ("p95_milliseconds", 0.3, 12.0, False),
    ],
)
def test_the_time_of_a_thread_counts_while_requests_are_rejected_for_want_of_threads(
    name: str, busy: float, waiting: float, usable: bool
) -> None:
    found = measured(busy, 0.3, **{name: EVERY[name]})
    found = found.model_copy(update={"threads_waiting": waiting})
    assert (name in found.enough()) is usable


@pytest.mark.parametrize(
    ("figure", "value", "number", "expected"),
    [
        # (1.2 · 96 MiB) / 0.8 and 4 MiB of bodies, in steps of 32 MiB; the constant gives 256 MiB.
        ("worker_memory_bytes", 90 * 2**20, "compute.memory_limit_bytes", 160 * 2**20),
        # A worker never has less than after its start.
        ("worker_memory_bytes", 30 * 2**20, "compute.memory_limit_bytes", 128 * 2**20),
        # 1.5 · (5.67 + 850 / 2 · 0.02).
        ("database_milliseconds_per_request", 20, "pool.size", 22),
        # 300 a second, each for 0.1 s, and a quarter more.
        ("blocking_milliseconds_per_request", 100, "server.threads", 38),
        ("p95_milliseconds", 300, "server.concurrency", 128),
        # Fewer than for an unknown request win nothing.
        ("p95_milliseconds", 20, "server.concurrency", 32),
        ("requests_in_flight_per_worker", 200, "server.max_in_flight", 400),
        # 0.1 core fills 65 %; a worker has at least 100m, and a measurement adds none.
        ("cpu_cores_per_worker", 0.1, "compute.cpu_request_millicores", 160),
        ("cpu_cores_per_worker", 0.001, "compute.cpu_request_millicores", 100),
        ("cpu_cores_per_worker", 0.9, "compute.cpu_request_millicores", 500),
        # 50,000 · 2 ms are 100 cores: 167 pods 60 % busy, and as many for growth.
        ("peak_requests_per_second", 50_000, "scaling.max_replicas", 334),
        ("peak_requests_per_second", 1, "scaling.max_replicas", 10),
    ],
)
def test_the_formulas_read_the_figure(
    figure: str, value: float, number: str, expected: float
) -> None:
    assert values(plan_of(DATABASE, measured(**{figure: value})))[number] == expected


@given(st.floats(1, 1000), st.floats(0.05, 100), st.floats(0.1, 1000))
def test_a_process_never_sheds_a_load_that_it_carried(
    carried: float, cpu: float, p95: float
) -> None:
    found = measured(
        requests_in_flight_per_worker=carried,
        cpu_milliseconds_per_request=cpu,
        p95_milliseconds=p95,
    )
    assert plan_of({}, found).server.max_in_flight.value >= carried


@pytest.mark.parametrize(
    "wrong",
    [
        {"busyShare": 0.1},
        {"busyShare": float("nan"), "figures": {}},
        {"busyShare": -1, "figures": {}},
        {"busyShare": 0.1, "figures": {"cpuMilliseconds": {}}},
        {"busyShare": 0.1, "figures": {"p95Milliseconds": {"value": 1, "seconds": 1}}},
        {"busyShare": 0.1, "figures": {"p95Milliseconds": {"value": 1, "seconds": 1, "count": -1}}},
        {"busyShare": True, "figures": {}},
        ["busyShare"],
    ],
)
def test_a_wrong_document_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        Measurements.from_mapping(wrong)


@given(ENOUGH | MEASUREMENTS)
def test_a_document_is_read_as_it_was_written(measurements: Measurements) -> None:
    written = json.loads(measurements.model_dump_json(by_alias=True, exclude_none=True))
    assert Measurements.from_mapping(written) == measurements


@pytest.mark.parametrize(
    ("named", "namespace", "name", "expected"),
    [
        (None, "team", "shop", True),
        ("shop", "team", "shop", True),
        ("team/shop", "team", "shop", True),
        ("team/shop", "", "shop", True),
        ("other/shop", "team", "shop", False),
        ("team/shop", "team", "other", False),
    ],
)
def test_measurements_name_their_service(
    named: str | None, namespace: str, name: str, expected: bool
) -> None:
    found = NOT_MEASURED.model_copy(update={"service": named})
    assert found.is_of(namespace, name) is expected


def test_a_small_difference_is_the_same_figure() -> None:
    ms = "database_milliseconds_per_request"
    assert plan_of(DATABASE, measured(**{ms: 11.2})) == plan_of(DATABASE, measured(**{ms: 11.9}))
    assert dataclasses.replace(plan_of(DATABASE), problems=()) != plan_of(
        DATABASE, measured(**{ms: 13})
    )


def test_a_migration_keeps_the_memory_that_no_request_needs() -> None:
    spec: Spec = {"postgres": {"migrations": {}}}
    found = plan_of(spec, measured(worker_memory_bytes=90 * 2**20))
    assert found.migration is not None
    assert found.migration.memory_limit_bytes.value == 256 * 2**20
    assert found.compute.memory_limit_bytes.value == 160 * 2**20
