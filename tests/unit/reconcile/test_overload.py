"""The condition Overloaded: who rejects requests, and how to raise the capacity."""

from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.observation.rejections import Overload, Rejections
from fastapi_operator.reconcile.plan.conditions import Conditions
from fastapi_operator.reconcile.plan.overload import mark_overload
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import service

FEW = Rejections(400.0, 300.0, 1, 4000, 10)
MANY = Rejections(400.0, 300.0, 2, 12_000, 1200)
STORED = {
    "type": "Overloaded",
    "status": "True",
    "reason": "RejectedByProxy",
    "message": "the proxy rejected many",
    "lastTransitionTime": "2026-11-22T11:00:00Z",
}


def plan(**spec: Any) -> Plan:
    return derive(service(**spec), Settings(), Facts())


def condition(
    found: Overload | None,
    numbers: Plan | None = None,
    *,
    pods: int = 2,
    stored: dict[str, Any] | None = None,
) -> tuple[str, str, str] | None:
    before = {"conditions": [stored]} if stored else {}
    conditions = Conditions(generation=1, now="2026-11-22T12:00:00Z", before=before)
    mark_overload(conditions, found, numbers, service="shop", pods=pods)
    marked = conditions.all()
    return (marked[0].status, marked[0].reason, marked[0].message) if marked else None


def test_the_message_counts_both_gates_and_names_how_to_raise_the_capacity() -> None:
    limited = plan(resources={"limits": {"cpu": "200m"}})
    assert condition(Overload(MANY, FEW), limited) == (
        "True",
        "RejectedByProxy",
        "the proxy rejected 1200 of 12000 requests (10 %) of 2 pods in 300 s; "
        "processes of the app rejected 10 of 4000 requests (0 %) of 1 pod in 300 s; "
        "the autoscaler starts at most 10 pods: raise spec.scaling.minReplicas (2); "
        "or raise spec.resources.limits.cpu (0.2 CPU); "
        "if their CPU is idle, raise spec.proxy.maxConnectionsPerPod (32); "
        "kubectl fastapi doctor shop shows what uses the capacity",
    )


@pytest.mark.parametrize(
    ("scaling", "pods", "remedy"),
    [
        ({"replicas": 3}, 3, "raise spec.scaling.replicas (3)"),
        ({"maxReplicas": 4}, 4, "all 4 pods of spec.scaling.maxReplicas run: raise it"),
    ],
)
def test_the_remedy_is_the_bound_that_holds(
    scaling: dict[str, int], pods: int, remedy: str
) -> None:
    found = condition(Overload(processes=MANY), plan(scaling=scaling), pods=pods)
    assert found is not None
    assert found[:2] == ("True", "RejectedByProcesses")
    assert f"; {remedy}; kubectl" in found[2]


def test_few_rejections_are_no_overload_and_the_text_has_no_counts_that_change() -> None:
    assert condition(Overload(FEW, FEW), plan()) == (
        "False",
        "FewRejected",
        "at most 1 % of the requests were rejected by the proxy and processes of the app",
    )


def test_a_former_fact_stays_until_it_is_old() -> None:
    stored = ("True", "RejectedByProxy", "the proxy rejected many")
    assert condition(None, plan(), stored=STORED) == stored
    found = condition(Overload(), plan(), stored=STORED)
    assert found is not None
    assert found[:2] == ("Unknown", "NotMeasured")


def test_a_service_that_was_never_measured_has_no_such_condition() -> None:
    assert condition(None, plan()) is None
    assert condition(Overload(), plan()) is None
    assert condition(Overload(MANY), plan(tuning={"mode": "Disabled"}), stored=STORED) is None
