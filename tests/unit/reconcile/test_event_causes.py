"""The newest Event about an object, and when Events are asked for at all."""

from typing import Any

from fastapi_operator.reconcile.observe.event_causes import Subject, explain, find_subject
from fastapi_operator.reconcile.observe.observed import Health
from tests.unit.reconcile.worlds import UNREADY, app, child

WORKLOAD = child(app()[2], health=UNREADY)
POD = Subject("Pod", "p", "u")


def event(reason: str, at: str, kind: str = "Warning") -> dict[str, Any]:
    return {
        "metadata": {},
        "type": kind,
        "reason": reason,
        "note": f"because of {reason}",
        "deprecatedLastTimestamp": f"2026-01-01T00:00:{at}Z",
    }


def pod(*volumes: str, state: str = "waiting", phase: str = "Pending") -> dict[str, Any]:
    claims = [{"persistentVolumeClaim": {"claimName": name}} for name in volumes]
    return {
        "metadata": {"name": "p", "uid": "u"},
        "spec": {"volumes": claims},
        "status": {"phase": phase, "containerStatuses": [{"name": "app", "state": {state: {}}}]},
    }


def test_the_newest_event_decides() -> None:
    mount, pull = event("FailedMount", "01"), event("Pulling", "02", "Normal")
    assert explain(POD, "n", [pull, mount], None) is None
    again = event("FailedMount", "03")
    found = explain(POD, "n", [again, pull, mount], None)
    assert found == Health(False, "FailedMount", "Pod p: because of FailedMount", failed=True)
    assert explain(POD, "n", [], None) is None


def test_only_a_pod_that_starts_is_asked_about() -> None:
    assert find_subject(WORKLOAD, [pod()], None) == POD
    assert find_subject(WORKLOAD, [pod(state="running", phase="Running")], None) is None
    assert find_subject(WORKLOAD, [pod()], Health(False, "CrashLoopBackOff", "boom")) is None


def test_a_pod_that_waits_for_its_volume_has_the_cause_of_the_volume() -> None:
    waits = Health(False, "Unschedulable", "pod has unbound immediate PersistentVolumeClaims")
    subject = find_subject(WORKLOAD, [pod("data")], waits)
    assert subject == Subject("PersistentVolumeClaim", "data")
    found = explain(subject, "n", [event("ProvisioningFailed", "01")], waits)
    assert found is not None and found.reason == "Unschedulable"
    assert found.message.endswith("PersistentVolumeClaim data: because of ProvisioningFailed")
