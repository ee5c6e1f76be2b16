"""Health, kind by kind."""

from typing import Any

import pytest

from fastapi_operator.cluster.kinds import Judge
from fastapi_operator.reconcile.observe.health import judge


def workload(generation: int = 2, replicas: int = 2, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": generation, **status},
    }


def condition(kind: str, status: str, reason: str = "R", message: str = "m") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def run(last: str = "", success: str = "", **status: Any) -> dict[str, Any]:
    for name, time in (("lastScheduleTime", last), ("lastSuccessfulTime", success)):
        if time:
            status[name] = f"2026-11-22T{time}:00Z"
    return {"metadata": {}, "status": status}


ROLLED_OUT = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}


@pytest.mark.parametrize(
    ("how", "body", "reason"),
    [
        (Judge.PRESENT, {"metadata": {}}, ""),
        (Judge.PRESENT, {"metadata": {"deletionTimestamp": "now"}}, "Deleting"),
        (Judge.ROLLOUT, workload(**ROLLED_OUT), ""),
        (Judge.ROLLOUT, workload(**{**ROLLED_OUT, "observedGeneration": 1}), "Progressing"),
        (Judge.ROLLOUT, workload(), "RollingOut"),
        (Judge.ROLLOUT, workload(**{**ROLLED_OUT, "updatedReplicas": 1}), "RollingOut"),
        (Judge.ROLLOUT, workload(**{**ROLLED_OUT, "replicas": 3}), "RollingOut"),
        (Judge.ROLLOUT, workload(**{**ROLLED_OUT, "availableReplicas": 1}), "PodsNotReady"),
        (Judge.ROLLOUT, workload(replicas=0), ""),
        (Judge.SCHEDULE, run(), ""),
        (Judge.SCHEDULE, run(last="07:00", success="07:01"), ""),
        (Judge.SCHEDULE, run(last="07:00", active=[{"name": "now"}]), ""),
        (Judge.SCHEDULE, run(last="07:00"), "RunFailed"),
        (Judge.SCHEDULE, run(last="07:00", success="06:01"), "RunFailed"),
        (
            Judge.ROLLOUT,
            workload(conditions=[condition("ReplicaFailure", "True", "FailedCreate")]),
            "FailedCreate",
        ),
        (
            Judge.ROLLOUT,
            workload(
                conditions=[
                    condition("ReplicaFailure", "True", "FailedCreate"),
                    condition("Progressing", "False", "ProgressDeadlineExceeded"),
                ]
            ),
            "ProgressDeadlineExceeded",
        ),
        (
            Judge.ROLLOUT,
            workload(conditions=[condition("Progressing", "False", "ProgressDeadlineExceeded")]),
            "ProgressDeadlineExceeded",
        ),
        (Judge.STATEFUL, workload(readyReplicas=2), ""),
        (Judge.STATEFUL, workload(readyReplicas=1), "PodsNotReady"),
        (Judge.STATEFUL, workload(readyReplicas=2, observedGeneration=1), "Progressing"),
        (
            Judge.STATEFUL,
            workload(readyReplicas=2, updateRevision="b", currentRevision="a", updatedReplicas=1),
            "RollingOut",
        ),
        (Judge.JOB, {"metadata": {}, "status": {"active": 1}}, "Running"),
        (
            Judge.JOB,
            {"metadata": {}, "status": {"conditions": [condition("Complete", "True")]}},
            "",
        ),
        (
            Judge.JOB,
            {"metadata": {}, "status": {"conditions": [condition("Failed", "True", "Deadline")]}},
            "Deadline",
        ),
        (Judge.PERSISTENT_VOLUME_CLAIM, {"metadata": {}, "status": {"phase": "Pending"}}, ""),
        (
            Judge.PERSISTENT_VOLUME_CLAIM,
            {"metadata": {}, "status": {"phase": "Lost"}},
            "VolumeLost",
        ),
        (
            Judge.PERSISTENT_VOLUME_CLAIM,
            {
                "metadata": {},
                "status": {"allocatedResourceStatuses": {"storage": "NodeResizeInfeasible"}},
            },
            "NodeResizeInfeasible",
        ),
        *(
            (
                Judge.PERSISTENT_VOLUME_CLAIM,
                {"metadata": {}, "status": {"conditions": [condition(kind, "True")]}},
                kind,
            )
            for kind in ("ControllerResizeError", "NodeResizeError", "ModifyVolumeError")
        ),
        (Judge.AUTOSCALER, {"metadata": {}, "status": {}}, "NotYetActive"),
        (
            Judge.AUTOSCALER,
            {"metadata": {}, "status": {"conditions": [condition("ScalingActive", "False")]}},
            "R",
        ),
        (
            Judge.AUTOSCALER,
            {"metadata": {}, "status": {"conditions": [condition("ScalingActive", "True")]}},
            "",
        ),
        (Judge.INGRESS, {"metadata": {}, "spec": {}}, ""),
        (Judge.LOAD_BALANCER, {"metadata": {}, "spec": {"type": "ClusterIP"}}, ""),
        (Judge.LOAD_BALANCER, {"metadata": {}, "spec": {"type": "LoadBalancer"}}, "NoAddress"),
    ],
)
def test_health(how: Judge, body: dict[str, Any], reason: str) -> None:
    health = judge(how, body)
    assert health.reason == reason
    assert health.ready is (reason == "")


def test_an_object_of_another_operator_is_ready_if_its_condition_is_true() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert judge(Judge.CONDITION, {"metadata": {}, "status": ready}).ready
    failing = {"conditions": [{"type": "Ready", "status": "False"}], "phase": "Failing over"}
    assert judge(Judge.CONDITION, {"metadata": {}, "status": failing}).message == "Failing over"
    refused = {"conditions": [condition("Ready", "False", message="no Prometheus")]}
    assert judge(Judge.CONDITION, {"metadata": {}, "status": refused}).message == "no Prometheus"
    assert not judge(Judge.CONDITION, {"metadata": {}}).ready


@pytest.mark.parametrize("kind", ["Resizing", "FileSystemResizePending", "ModifyingVolume"])
def test_a_volume_that_is_resized_is_ready_with_a_reason(kind: str) -> None:
    body = {
        "metadata": {},
        "spec": {"resources": {"requests": {"storage": "4Gi"}}},
        "status": {
            "capacity": {"storage": "1Gi"},
            "conditions": [condition(kind, "True", message="waits for a pod")],
        },
    }
    found = judge(Judge.PERSISTENT_VOLUME_CLAIM, body)
    assert found.ready
    assert found.reason == kind
    assert found.message == "1Gi of the requested 4Gi are in use: waits for a pod"
