"""Causes that only Events report: a volume that is not mounted, a pod that is not created.

Events are not watched. If the statuses of a workload's pods have no cause, the Events about one
object are listed: about a pod that starts, about the workload if it has no pods, or about the
volume for which a pod waits.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fastapi_operator.cluster.kinds import JOB, PERSISTENT_VOLUME_CLAIM, POD, STATEFUL_SET
from fastapi_operator.reconcile.observe.observed import Child, Health
from fastapi_operator.reconcile.observe.pod_output import mask_credentials, shortened

Body = Mapping[str, Any]

# A Deployment reports refused pods in its own status; these do not.
_SILENT = frozenset({STATEFUL_SET.kind, JOB.kind})
# A time without its fraction: only newer Events have one.
_SECONDS = len("2026-01-01T00:00:00")


class Subject(NamedTuple):
    """The object that Events are about."""

    kind: str
    name: str
    uid: str = ""

    @property
    def selector(self) -> str:
        """The field selector of its Events."""
        named = f"regarding.kind={self.kind},regarding.name={self.name}"
        return f"{named},regarding.uid={self.uid}" if self.uid else named


def find_subject(child: Child, pods: Sequence[Body], found: Health | None) -> Subject | None:
    """Returns the object whose Events may have the cause; None if the pods have it.

    Args:
        child: The unready workload.
        pods: Its pods.
        found: The problem of its pods; None if they have none.
    """
    live = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    if found is not None:
        return _claim(live) if PERSISTENT_VOLUME_CLAIM.kind in found.message else None
    if not live:
        is_silent = child.key.kind in _SILENT and not child.health.failed
        return Subject(child.key.kind, child.key.name, child.uid) if is_silent else None
    starting = next((pod for pod in live if _is_starting(pod)), None)
    if starting is None:
        return None
    return Subject(POD.kind, starting["metadata"]["name"], starting["metadata"].get("uid", ""))


def explain(
    subject: Subject, namespace: str, events: Iterable[Body], found: Health | None
) -> Health | None:
    """Returns the problem that the newest Event reports; ``found`` if it reports progress."""
    newest = max(events, key=lambda event: (_time(event), event.get("type", "")), default=None)
    if newest is None or newest.get("type") != "Warning":
        return found
    describe = f"kubectl describe {subject.kind.lower()} {subject.name} -n {namespace}"
    text = shortened(mask_credentials(str(newest.get("note", ""))), describe)
    text = f"{subject.kind} {subject.name}: {text}"
    if found is not None:
        return found._replace(message=f"{found.message}; {text}")
    return Health(False, newest.get("reason") or "Failed", text, failed=True)


def _claim(pods: Iterable[Body]) -> Subject | None:
    names = (
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods
        for volume in pod.get("spec", {}).get("volumes") or ()
        if "persistentVolumeClaim" in volume
    )
    name = next(names, None)
    return Subject(PERSISTENT_VOLUME_CLAIM.kind, name) if name else None


def _is_starting(pod: Body) -> bool:
    """Whether a pod waits for its volumes, its network or its images."""
    status = pod.get("status", {})
    states = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    return status.get("phase", "Pending") == "Pending" and all(
        "running" not in item.get("state", {}) for item in states
    )


def _time(event: Body) -> str:
    times = (
        (event.get("series") or {}).get("lastObservedTime"),
        event.get("deprecatedLastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    )
    return max(str(time or "")[:_SECONDS] for time in times)
