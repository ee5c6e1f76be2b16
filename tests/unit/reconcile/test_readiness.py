"""When a workload serves, by its pods and by the smallest number that its service needs."""

from typing import Any

import pytest

from fastapi_operator.reconcile.observe.observed import Child, Health, Replicas
from fastapi_operator.reconcile.plan.readiness import child_health
from fastapi_operator.resources.desired import Desired
from tests.unit.reconcile import worlds

ROLLING = Health(False, "RollingOut", "1 pods of the old revision remain")
FEWER = Health(False, "PodsNotReady", "2 of 6 pods are ready")
QUOTA = Health(False, "FailedCreate", "exceeded quota", failed=True)
READY = Health(True)


def app(least: int = 2, **options: Any) -> Desired:
    return worlds.desired("Deployment", "shop", body={"spec": {"replicas": least}}, **options)


def child(found: Health, *, wanted: int, live: int, updated: int, available: int) -> Child:
    replicas = Replicas(wanted, ours=False, live=live, updated=updated, available=available)
    return worlds.child(app(), health=found, replicas=replicas)


@pytest.mark.parametrize(
    ("found", "pods", "expected"),
    [
        (READY, (2, 2, 2, 2), (True, "")),
        # An autoscaler adds pods.
        (FEWER, (6, 2, 2, 2), (True, "ScalingOut")),
        (FEWER, (6, 6, 6, 5), (True, "ScalingOut")),
        (QUOTA, (6, 2, 2, 2), (True, "ScalingOut")),
        # It removes pods.
        (READY, (2, 6, 6, 6), (True, "")),
        # Fewer pods than needed.
        (FEWER, (6, 6, 6, 1), (False, "PodsNotReady")),
        (READY, (0, 0, 0, 0), (False, "PodsNotReady")),
        (READY, (1, 1, 1, 1), (False, "PodsNotReady")),
        (QUOTA, (2, 1, 1, 1), (False, "FailedCreate")),
        # Pods of another revision than the wanted one.
        (ROLLING, (2, 3, 2, 3), (False, "RollingOut")),
        (Health(False, "Progressing"), (2, 2, 2, 2), (False, "Progressing")),
    ],
)
def test_a_deployment_needs_the_smallest_number_of_pods_of_its_newest_revision(
    found: Health, pods: tuple[int, int, int, int], expected: tuple[bool, str]
) -> None:
    wanted, live, updated, available = pods
    live_object = child(found, wanted=wanted, live=live, updated=updated, available=available)
    assert child_health(app(), live_object)[:2] == expected


def test_the_reason_why_more_pods_cannot_start_is_reported() -> None:
    scaling = child_health(app(), child(QUOTA, wanted=6, live=2, updated=2, available=2))
    assert scaling.message == "2 of 6 pods are ready, 2 are needed: exceeded quota"


def test_a_workload_that_was_scaled_down_has_a_remedy() -> None:
    gone = child(READY, wanted=0, live=0, updated=0, available=0)
    message = child_health(app(hands_over_replicas=True), gone).message
    assert "it was scaled to 0, which disables its autoscaler" in message
    assert "spec.suspend" in message
    assert "autoscaler" not in child_health(app(), gone).message


def test_a_requested_zero_is_ready_with_a_message() -> None:
    gone = child(READY, wanted=0, live=0, updated=0, available=0)
    assert child_health(app(0), gone) == Health(
        True, message="0 pods are requested, so that no request is served"
    )


def test_a_worker_without_tasks_is_ready_with_zero_pods() -> None:
    gone = child(READY, wanted=0, live=0, updated=0, available=0)
    assert child_health(app(0, hands_over_replicas=True), gone) == READY
    starting = child(FEWER, wanted=2, live=2, updated=2, available=0)
    assert child_health(app(0, hands_over_replicas=True), starting)[:2] == (True, "ScalingOut")


def test_a_database_that_was_scaled_to_zero_is_not_ready() -> None:
    database = worlds.desired("StatefulSet", "shop-db", body={"spec": {"replicas": 1}})
    gone = worlds.child(database, replicas=Replicas(0, ours=False, live=0))
    assert not child_health(database, gone).ready
