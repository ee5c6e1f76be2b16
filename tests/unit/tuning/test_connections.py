"""The connection budget of managed and external databases, with and without a pooler."""

import re
from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.problems import Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import service

DIRECT = {"pooler": {"engine": "None"}}


def external(connections: int, **more: Any) -> dict[str, Any]:
    return {
        "mode": "External",
        "secretRef": {"name": "shop-database"},
        "maxConnections": connections,
        **more,
    }


def planned(**spec: Any) -> Plan:
    return derive(service(**spec), Settings(), Facts())


def errors(plan: Plan) -> list[Any]:
    return [problem for problem in plan.problems if problem.severity is Severity.ERROR]


def numbers(plan: Plan) -> dict[str, Any]:
    return {decision.name: decision.value for decision in plan.decisions()}


def test_granted_connections_decide_every_pool() -> None:
    found = numbers(planned(postgres=external(100)))
    assert found["database.max_connections"] == 100
    assert found["database.reserved_connections"] == 8
    assert found["database.service_connections"] == 46
    assert found["pooler.max_db_connections"] == 23
    assert found["pool.size"] == 12
    assert not [name for name in found if name.startswith("postgres.")]


def test_small_grant_keeps_back_a_fifth() -> None:
    found = numbers(planned(postgres=external(10)))
    assert found["database.reserved_connections"] == 2
    assert found["database.service_connections"] == 4


def test_without_a_pooler_each_process_has_its_share() -> None:
    plan = planned(postgres=external(100, **DIRECT), scaling={"maxReplicas": 10})
    found = numbers(plan)
    assert plan.pooler is None
    assert plan.budget is not None
    # 13 pods while ten roll out, of 90 % of 92 connections.
    assert found["database.service_connections"] == 82
    assert (found["pool.size"], found["pool.max_overflow"]) == (6, 0)
    (step,) = plan.budget.steps()
    assert (step.demand, step.capacity, step.enforced_by) == (13 * 6, 92, "the app's own pools")


def test_without_a_pooler_the_database_bounds_the_replicas() -> None:
    plan = planned(postgres=external(20, **DIRECT))
    assert plan.scaling.max_replicas.value == 3
    assert not errors(plan)


def test_without_a_pooler_memory_bounds_the_connections() -> None:
    found = numbers(planned(postgres=DIRECT))
    assert found["database.service_connections"] == 25
    assert found["database.max_connections"] == 36


@pytest.mark.parametrize("postgres", [DIRECT, external(100, **DIRECT)])
def test_a_missing_pooler_is_a_warning(postgres: dict[str, Any]) -> None:
    warned = [problem.path for problem in planned(postgres=postgres).problems]
    assert "spec.postgres.pooler.engine" in warned


def test_settings_of_an_external_database_are_printed_as_sql() -> None:
    (problem,) = planned(postgres=external(100)).problems
    assert problem.severity is Severity.WARNING
    assert "ALTER ROLE CURRENT_USER SET statement_timeout = '15s';" in problem.remedy
    assert "idle_in_transaction_session_timeout = '30s'" in problem.remedy
    assert "max_connections is at least 100" in problem.remedy
    assert len(f"{problem.message}; {problem.remedy}") <= 512, "status must not cut the SQL"


@pytest.mark.parametrize(
    ("postgres", "larger"),
    [
        (external(100, **DIRECT), external(258, **DIRECT)),
        (DIRECT, {**DIRECT, "resources": {"limits": {"memory": "10Gi"}}}),
    ],
)
def test_an_error_of_the_budget_names_every_size_that_fits(
    postgres: dict[str, Any], larger: dict[str, Any]
) -> None:
    scaling = {"minReplicas": 2, "maxReplicas": 200}
    (problem,) = errors(planned(postgres=postgres, scaling=scaling))
    assert "would open 250 connections at peak, the database accepts" in problem.message
    most = re.search(r"maxReplicas to at most (\d+)", problem.remedy)
    assert most is not None
    figures = re.findall(r"(?:maxConnections of|limits.memory to) (\w+)", problem.remedy)
    assert figures == ["258" if "maxConnections" in postgres else "10Gi"]
    fewer = {"minReplicas": 2, "maxReplicas": int(most[1])}
    assert not errors(planned(postgres=postgres, scaling=fewer))
    one_more = {"minReplicas": 2, "maxReplicas": int(most[1]) + 1}
    assert errors(planned(postgres=postgres, scaling=one_more))
    assert not errors(planned(postgres=larger, scaling=scaling))
    pooled = {key: value for key, value in postgres.items() if key != "pooler"}
    assert not errors(planned(postgres=pooled, scaling={"maxReplicas": 60}))


def test_more_pooler_instances_than_connections_are_refused() -> None:
    (problem,) = errors(planned(postgres=external(8, pooler={"instances": 9})))
    assert problem.path == "spec.postgres.pooler.instances"
    assert problem.remedy == (
        "set instances to at most 3, "
        "or have the database grant a spec.postgres.maxConnections of 23"
    )
    assert not errors(planned(postgres=external(8, pooler={"instances": 3})))
    assert not errors(planned(postgres=external(23, pooler={"instances": 9})))


@pytest.mark.parametrize("postgres", [{}, {"pooler": {"instances": 3}}, external(50)])
def test_poolers_fit_beside_the_poolers_that_they_replace(postgres: dict[str, Any]) -> None:
    found = numbers(planned(postgres=postgres, scaling={"maxReplicas": 20}))
    of_all = found["pooler.instances"] * found["pooler.max_db_connections"]
    room = found["database.max_connections"] - found["database.reserved_connections"]
    assert 0 <= room - 2 * of_all < 2 * found["pooler.instances"]


def test_missing_cloudnativepg_is_named() -> None:
    spec = service(postgres={"mode": "CloudNativePG"})
    (problem,) = errors(derive(spec, Settings(), Facts()))
    assert "does not serve postgresql.cnpg.io/v1/Cluster" in problem.message
    served = Facts(apis=frozenset({"postgresql.cnpg.io/v1/Cluster"}))
    assert not errors(derive(spec, Settings(), served))
