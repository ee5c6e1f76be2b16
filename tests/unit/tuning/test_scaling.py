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
