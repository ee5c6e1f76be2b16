"""How a service is scaled, and problems that keep KEDA from it."""

from typing import Any

from fastapi_operator.facts import SCALED_OBJECT, Facts
from fastapi_operator.problems import Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import service

_KEDA = {"engine": "Keda", "keda": {"prometheusAddress": "http://prometheus:9090"}}
_SERVED = Facts(apis=frozenset({SCALED_OBJECT}))


def planned(facts: Facts = _SERVED, **spec: Any) -> Plan:
    return derive(service(**spec), Settings(), facts)


def refused(plan: Plan) -> list[str]:
    return [problem.path for problem in plan.problems if problem.severity is Severity.ERROR]


def test_keda_aims_at_a_share_of_the_requests_that_a_pod_sustains() -> None:
    plan = planned(scaling=_KEDA)
    assert not refused(plan)
    pod = plan.server.concurrency.value * plan.server.workers.value
    assert pod / 2 < plan.scaling.target_in_flight.value < pod
    assert planned(scaling=_KEDA | {"targetInFlight": 7}).scaling.target_in_flight.value == 7
    assert planned(scaling={"minReplicas": 2}).scaling.target_in_flight.value == 0


def test_keda_needs_its_api_and_something_to_read() -> None:
    assert refused(planned(Facts(), scaling=_KEDA)) == ["spec.scaling.engine"]
    silent = {"metrics": {"enabled": False}}
    assert refused(planned(scaling=_KEDA, observability=silent)) == [
        "spec.observability.metrics.enabled"
    ]


WORKER = {"name": "mailer", "command": ["mail"], "processes": 4}


def worker(facts: Facts = _SERVED, **scaling: Any) -> Plan:
    entry = WORKER | {"scaling": {"listName": "mail", **scaling}}
    return planned(facts, queue={}, background=[entry])


def test_a_worker_scales_from_zero_by_the_tasks_of_its_processes() -> None:
    (found,) = worker().background
    assert found.replicas.value == 0
    assert found.max_replicas is not None and found.max_replicas.value == 1
    assert found.tasks_per_replica is not None and found.tasks_per_replica.value == 40
    (found,) = worker(minReplicas=1, maxReplicas=3, tasksPerReplica=5).background
    assert found.replicas.value == 1
    assert found.tasks_per_replica is not None and found.tasks_per_replica.value == 5


def test_the_most_pods_of_a_scaled_worker_count_in_the_budget() -> None:
    assert [plan.background[0].peak_pods.value for plan in (worker(), worker(maxReplicas=3))] == [
        2,
        6,
    ]


def test_a_scaled_worker_needs_the_api_of_keda() -> None:
    assert refused(worker()) == []
    assert refused(worker(Facts())) == ["spec.background[mailer].scaling"]
