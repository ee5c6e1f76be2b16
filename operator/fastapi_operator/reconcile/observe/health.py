"""Whether a live object is ready, by the rule of its kind."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastapi_operator.cluster.kinds import Judge
from fastapi_operator.reconcile.observe.observed import Health
from fastapi_operator.reconcile.observe.pod_output import shortened

Body = Mapping[str, Any]

# The command that shows all of a message that is cut; the condition names the object.
_DESCRIBE = "kubectl describe"
READY = Health(True)
# The reason of a workload whose controller has not observed its newest generation.
UNOBSERVED = "Progressing"
# The reason of a claim whose data only a person can bring back.
VOLUME_LOST = "VolumeLost"
# The reason of a Job that was stopped by hand, or by a program that queues Jobs.
JOB_SUSPENDED = "JobSuspended"


def judge(how: Judge, body: Body) -> Health:
    """Returns the health of a live object.

    Args:
        how: The rule of its kind.
        body: The live object.
    """
    if body.get("metadata", {}).get("deletionTimestamp"):
        return _deleting(how, body)
    return _JUDGES[how](body)


def _deleting(how: Judge, body: Body) -> Health:
    """Returns the state of an object that waits for its finalizers."""
    message = "is being deleted"
    if how is Judge.PERSISTENT_VOLUME_CLAIM:
        # Kubernetes keeps it only as long as its pod runs.
        message += " and its data is lost when its pod ends: copy the data now"
    # Only the program that set a finalizer can end the deletion.
    if finalizers := body["metadata"].get("finalizers"):
        message += f"; it waits for the finalizers {', '.join(finalizers)}"
    return Health(False, "Deleting", message)


def _present(_body: Body) -> Health:
    return READY


def _rollout(body: Body) -> Health:
    """A Deployment: all pods are of the newest revision and ready."""
    status, wanted = body.get("status", {}), body.get("spec", {}).get("replicas", 1)
    if status.get("observedGeneration", 0) < body["metadata"].get("generation", 1):
        return Health(False, "Progressing", "the Deployment controller has not observed it yet")
    refused = _condition(status, "ReplicaFailure", "True")
    late = _condition(status, "Progressing", "False")
    if refused:
        # The reason is that of the deadline once it has passed; the cause stays the message.
        return _failure("ReplicaFailure", refused)._replace(
            reason=(late or refused).get("reason") or "ReplicaFailure"
        )
    if late:
        return _failure("Progressing", late)
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = status.get("availableReplicas", 0)
    if updated < wanted:
        return Health(False, "RollingOut", f"{updated} of {wanted} pods are of the new revision")
    if total > updated:
        return Health(False, "RollingOut", f"{total - updated} pods of the old revision remain")
    ready = available >= wanted
    return READY if ready else _pods_not_ready(available, wanted)


def _pods_not_ready(ready: int, wanted: int) -> Health:
    return Health(False, "PodsNotReady", f"{ready} of {wanted} pods are ready")


def _stateful(body: Body) -> Health:
    status, wanted = body.get("status", {}), body.get("spec", {}).get("replicas", 1)
    if status.get("observedGeneration", 0) < body["metadata"].get("generation", 1):
        return Health(False, "Progressing", "the StatefulSet controller has not observed it yet")
    ready = status.get("readyReplicas", 0)
    if ready < wanted:
        return _pods_not_ready(ready, wanted)
    if status.get("updateRevision") != status.get("currentRevision") and (
        status.get("updatedReplicas", 0) < wanted
    ):
        return Health(False, "RollingOut", "pods of the old revision remain")
    return READY


def _job(body: Body) -> Health:
    status = body.get("status", {})
    if _condition(status, "Complete", "True"):
        return READY
    failed = _condition(status, "Failed", "True")
    if failed:
        return Health(False, failed.get("reason") or "Failed", _message(failed), failed=True)
    if _condition(status, "Suspended", "True"):
        message = "it is suspended, so it starts no pod until its spec.suspend is false"
        return Health(False, JOB_SUSPENDED, message)
    return Health(False, "Running", "the Job has not finished")


def _persistent_volume_claim(body: Body) -> Health:
    phase = body.get("status", {}).get("phase", "Pending")
    if phase == "Lost":
        volume = body.get("spec", {}).get("volumeName")
        message = f"the volume {volume} of the claim is gone with its data: create a volume of this"
        message += " name from a copy, or delete the claim; the message then has the next step"
        return Health(False, VOLUME_LOST, message, failed=True)
    # Pending is not an error: many storage classes bind when the first pod is scheduled, and the
    # workload of that pod is not ready until then.
    return _resize(body)


# Conditions of a claim whose volume grows or changes, those that need a person first. Source: the
# constants of PersistentVolumeClaimConditionType in Kubernetes 1.35.
_RESIZE_FAULTS = ("ControllerResizeError", "NodeResizeError", "ModifyVolumeError")
_RESIZE_INFEASIBLE = ("ControllerResizeInfeasible", "NodeResizeInfeasible")
_RESIZE_PROGRESS = ("FileSystemResizePending", "Resizing", "ModifyingVolume")


def _resize(body: Body) -> Health:
    """Reports a larger size that the storage refuses, or that is not complete yet."""
    status = body.get("status", {})
    current = (status.get("capacity") or {}).get("storage")
    requested = ((body.get("spec", {}).get("resources") or {}).get("requests") or {}).get("storage")
    size = f"{current} of the requested {requested} are in use"
    states = status.get("allocatedResourceStatuses") or {}
    infeasible = next((state for state in states.values() if state in _RESIZE_INFEASIBLE), "")
    fault = next((kind for kind in _RESIZE_FAULTS if _condition(status, kind, "True")), "")
    if infeasible or fault:
        found = _condition(status, fault, "True") or {}
        message = _message(found) or "the storage reports no reason"
        remedy = f"fix the storage, or request a feasible size that is larger than {current}"
        return Health(False, infeasible or fault, f"{size}: {message}; {remedy}", failed=True)
    progress = next((kind for kind in _RESIZE_PROGRESS if _condition(status, kind, "True")), "")
    if progress or states:
        found = _condition(status, progress, "True") or {}
        reason = progress or next(iter(states.values()))
        message = _message(found)
        return Health(True, reason, f"{size}: {message}" if message else size)
    return READY


def _autoscaler(body: Body) -> Health:
    status = body.get("status", {})
    for kind in ("AbleToScale", "ScalingActive"):
        condition = _condition(status, kind, "False")
        if condition:
            return _failure(kind, condition)
    if not status.get("conditions"):
        return Health(False, "NotYetActive", "the autoscaler has no status yet")
    return READY


def _schedule(body: Body) -> Health:
    """A CronJob: the last finished run succeeded."""
    status = body.get("status", {})
    run, success = status.get("lastScheduleTime"), status.get("lastSuccessfulTime")
    # Both are RFC 3339 in UTC, so they compare as texts.
    before = f"the last success was at {success}" if success else "no run has succeeded yet"
    if run is None or status.get("active") or (success is not None and success >= run):
        return Health(True, message=before)
    return Health(False, "RunFailed", f"the run of {run} failed; {before}", failed=True)


def _by_condition(body: Body) -> Health:
    """An object of another operator: its condition Ready is True."""
    status = body.get("status", {})
    if _condition(status, "Ready", "True"):
        return READY
    unready = _condition(status, "Ready", "False") or {}
    why = status.get("phase") or unready.get("message") or "its operator has not observed it yet"
    return Health(False, "NotReady", shortened(str(why), _DESCRIBE))


def _load_balancer(body: Body) -> Health:
    if body.get("spec", {}).get("type") != "LoadBalancer":
        return READY
    if body.get("status", {}).get("loadBalancer", {}).get("ingress"):
        return READY
    return Health(False, "NoAddress", "the load balancer has no address yet")


def _ingress(body: Body) -> Health:
    """An Ingress: many controllers report nothing, so that a missing address is only a message."""
    if body.get("status", {}).get("loadBalancer", {}).get("ingress"):
        return READY
    name = body.get("spec", {}).get("ingressClassName")
    chosen = f"the class {name}" if name else "the default class"
    return Health(
        True,
        message=f"no controller has reported an address for {chosen}; if clients do not reach the "
        "host, check that the class exists and that its controller runs",
    )


def _route(body: Body) -> Health:
    """An HTTPRoute: each of its Gateways has accepted it and resolved its references."""
    generation = body["metadata"].get("generation", 1)
    parents = body.get("status", {}).get("parents") or ()
    accepted = False
    for parent in parents:
        conditions = [
            condition
            for condition in parent.get("conditions") or ()
            if condition.get("observedGeneration", generation) >= generation
        ]
        for condition in conditions:
            judged = condition.get("type") in ("Accepted", "ResolvedRefs")
            if judged and condition.get("status") == "False":
                return _failure(condition["type"], condition)
        accepted = accepted or bool(_condition({"conditions": conditions}, "Accepted", "True"))
    if accepted:
        return READY
    names = ", ".join(
        f"{ref.get('namespace', '')}/{ref['name']}"
        for ref in body.get("spec", {}).get("parentRefs", ())
    )
    return Health(False, "NotAccepted", f"no controller has accepted it for the Gateway {names}")


def _certificate(body: Body) -> Health:
    """A Certificate: it is issued for the hosts of its newest generation."""
    status, generation = body.get("status", {}), body["metadata"].get("generation", 1)
    issued = _condition(status, "Ready", "True")
    failed = _condition(status, "Issuing", "False")
    if issued and issued.get("observedGeneration", generation) >= generation:
        if failed and failed.get("reason") == "Failed":
            return Health(True, message=f"its renewal failed: {_message(failed)}")
        return READY
    if failed:
        return _failure("Issuing", failed)
    waiting = _condition(status, "Ready", "False")
    message = _message(waiting) if waiting else "cert-manager has not observed it yet"
    return Health(False, "NotIssued", message)


_JUDGES: Mapping[Judge, Callable[[Body], Health]] = {
    Judge.PRESENT: _present,
    Judge.ROLLOUT: _rollout,
    Judge.STATEFUL: _stateful,
    Judge.JOB: _job,
    Judge.PERSISTENT_VOLUME_CLAIM: _persistent_volume_claim,
    Judge.AUTOSCALER: _autoscaler,
    Judge.SCHEDULE: _schedule,
    Judge.LOAD_BALANCER: _load_balancer,
    Judge.INGRESS: _ingress,
    Judge.CONDITION: _by_condition,
    Judge.ROUTE: _route,
    Judge.CERTIFICATE: _certificate,
}


def _condition(status: Body, kind: str, value: str) -> Mapping[str, Any] | None:
    conditions: Iterable[Mapping[str, Any]] = status.get("conditions") or ()
    for condition in conditions:
        if condition.get("type") == kind and condition.get("status") == value:
            return condition
    return None


def _failure(kind: str, condition: Mapping[str, str]) -> Health:
    return Health(False, condition.get("reason") or kind, _message(condition), failed=True)


def _message(condition: Mapping[str, str]) -> str:
    return shortened(str(condition.get("message", "")), _DESCRIBE)
