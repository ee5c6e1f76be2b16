"""Properties of decisions: only inputs change them, more is never less, remedies work.

Specs are mixed: a generated service gets some sections of another. Fields that the inputs of a
decision do not show may then differ in any way, and must not matter.
"""

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastapi_operator.api import fields
from fastapi_operator.api.parse import parse_service
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Problem, Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.decision import Decision, Source
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.effects import Disruption
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import SPECS, body

SECTIONS = (
    "server",
    "resources",
    "traffic",
    "scaling",
    "redis",
    "queue",
    "postgres",
    "background",
    "schedules",
    "proxy",
)
# Sections whose fields may change numbers that need a restart of their server.
SERVERS = {"redis", "queue", "postgres"}
Spec = dict[str, Any]


def plan(spec: Spec) -> Plan:
    parsed, problems = parse_service(body(spec))
    assert parsed is not None, problems
    return derive(parsed, Settings(), Facts())


def mixed(one: Spec, other: Spec, sections: set[str]) -> Spec:
    """Returns the first spec with these sections of the second one, or without them."""
    kept = {name: value for name, value in one.items() if name not in sections}
    return kept | {name: value for name, value in other.items() if name in sections}


def derived(plan: Plan) -> dict[str, Decision[Any]]:
    found = (decision for decision in plan.decisions() if decision.source is Source.DERIVED)
    return {decision.name: decision for decision in found}


@given(SPECS, SPECS, st.sets(st.sampled_from(SECTIONS), min_size=1))
def test_a_decision_changes_only_with_its_inputs(
    one: Spec, other: Spec, sections: set[str]
) -> None:
    before, after = derived(plan(one)), derived(plan(mixed(one, other, sections)))
    for name in before.keys() & after.keys():
        if before[name].inputs == after[name].inputs:
            assert before[name].value == after[name].value, name
            assert before[name].reason == after[name].reason, name


@given(SPECS, SPECS)
def test_no_section_of_the_app_changes_a_number_that_needs_a_restart(
    one: Spec, other: Spec
) -> None:
    before, after = plan(one), plan(mixed(one, other, set(SECTIONS) - SERVERS))
    restarts = [
        {
            decision.name: decision.value
            for decision in found.decisions()
            if decision.disruption is Disruption.RESTART
        }
        for found in (before, after)
    ]
    assert restarts[0] == restarts[1]


# Quantities --------------------------------------------------------------------------------------

QUANTITY = st.one_of(
    st.sampled_from(["100m", "0.5", "1e3", "1Gi", "1G", "1E", "1Ei", "0", "1n", ".5", "1e18"]),
    st.builds(
        lambda number, suffix: f"{number}{suffix}",
        st.integers(0, 10**6),
        st.sampled_from(
            ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
        ),
    ),
    st.integers(0, 10**15),
)
AMOUNTS = st.fixed_dictionaries({}, optional={"cpu": QUANTITY, "memory": QUANTITY})
RESOURCES = st.fixed_dictionaries({}, optional={"requests": AMOUNTS, "limits": AMOUNTS})
SIZE = st.fixed_dictionaries({}, optional={"size": QUANTITY})
STORE = st.fixed_dictionaries({}, optional={"memory": QUANTITY, "persistence": SIZE})


@given(
    SPECS,
    st.fixed_dictionaries(
        {},
        optional={
            "resources": RESOURCES,
            "redis": STORE,
            "queue": STORE,
            "postgres": st.fixed_dictionaries(
                {}, optional={"resources": RESOURCES, "storage": SIZE}
            ),
        },
    ),
)
def test_any_quantity_gives_a_plan_or_a_problem_with_a_field(spec: Spec, extreme: Spec) -> None:
    parsed, problems = parse_service(body(spec | extreme))
    if parsed is not None:
        problems = derive(parsed, Settings(), Facts()).problems
    assert parsed is not None or problems
    assert all(problem.path and problem.message for problem in problems)


# More is never less ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("resources.limits.memory", "server.workers"),
        ("resources.limits.cpu", "server.workers"),
        ("resources.limits.cpu", "compute.native_threads"),
        ("postgres.resources.limits.memory", "database.service_connections"),
        ("postgres.resources.limits.memory", "postgres.shared_buffers_bytes"),
        ("postgres.resources.limits.cpu", "database.service_connections"),
        ("postgres.resources.limits.cpu", "database.max_connections"),
        ("postgres.resources.limits.cpu", "pooler.max_db_connections"),
        ("postgres.storage.size", "postgres.max_wal_size_bytes"),
        ("redis.memory", "cache.maxmemory_bytes"),
        ("redis.memory", "cache.max_clients"),
        ("queue.memory", "queue.maxmemory_bytes"),
        ("traffic.peakRequestsPerSecond", "scaling.max_replicas"),
        ("traffic.databaseMillisecondsPerRequest", "pool.size"),
        ("traffic.blockingMillisecondsPerRequest", "server.threads"),
        ("traffic.p95Milliseconds", "server.concurrency"),
    ],
)
@given(data=st.data())
def test_more_of_a_field_never_means_less_of_a_number(
    field: str, number: str, data: st.DataObject
) -> None:
    amounts = (
        st.integers(64, 2**20) if "emory" in field or "size" in field else st.integers(1, 2000)
    )
    low, high = sorted(data.draw(st.tuples(amounts, amounts)))
    unit = "Mi" if "emory" in field or "size" in field else ""
    base: Spec = {
        "image": "a:1",
        "redis": {},
        "queue": {},
        "postgres": {},
        "resources": {"limits": {"cpu": "64", "memory": "64Gi"}},
    }
    values = []
    for amount in (low, high):
        value: Any = f"{amount}{unit}" if unit or "cpu" in field else amount
        spec = fields.with_value(base, fields.split(field), value)
        values.append(derived(plan(spec))[number].value)
    assert values[0] <= values[1]


# Remedies ----------------------------------------------------------------------------------------

REMEDIES = {
    r"set maxReplicas to at most (\d+)": ("scaling.maxReplicas", int),
    r"set spec.postgres.pooler.instances to (\d+)": ("postgres.pooler.instances", int),
    r"set instances to at most (\d+)": ("postgres.pooler.instances", int),
    r"set spec.postgres.resources.limits.cpu to (\d+)": ("postgres.resources.limits.cpu", str),
    r"set spec.postgres.resources.limits.memory to (\d+Gi)": (
        "postgres.resources.limits.memory",
        str,
    ),
    r"spec.postgres.maxConnections of (\d+)": ("postgres.maxConnections", int),
}
POOLER = st.one_of(
    st.just({"engine": "None"}),
    st.fixed_dictionaries({}, optional={"instances": st.integers(1, 16)}),
)
POSTGRES = st.one_of(
    st.fixed_dictionaries({}, optional={"pooler": POOLER}),
    st.fixed_dictionaries(
        {
            "mode": st.just("External"),
            "secretRef": st.just({"name": "shop-database"}),
            "maxConnections": st.integers(20, 1000),
        },
        optional={"pooler": POOLER},
    ),
)


def too_many(found: Plan) -> list[Problem]:
    return [
        problem
        for problem in found.problems
        if problem.severity is Severity.ERROR and "connections" in problem.message
    ]


@given(POSTGRES, st.integers(2, 1000), st.integers(1, 64))
def test_each_remedy_of_the_budget_fixes_it(postgres: Spec, pods: int, workers: int) -> None:
    spec: Spec = {
        "image": "a:1",
        "server": {"workerPolicy": "Fixed", "workers": workers},
        "scaling": {"minReplicas": 1, "maxReplicas": pods},
        "postgres": postgres,
    }
    problems = too_many(plan(spec))
    assume(problems)
    for problem in problems:
        assert problem.remedy
        for pattern, (field, written) in REMEDIES.items():
            match = re.search(pattern, problem.remedy)
            if match:
                fixed = fields.with_value(spec, fields.split(field), written(match[1]))
                left = [item.message for item in too_many(plan(fixed)) if item.path == problem.path]
                assert not left, (match[0], left)
