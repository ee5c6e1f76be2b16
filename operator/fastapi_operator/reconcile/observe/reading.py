"""Reads the facts that are kept of a live object: digests, health and names, not the body."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    CRON_JOB,
    DEPLOYMENT,
    HTTP_ROUTE,
    JOB,
    SECRET,
    STATEFUL_SET,
    Kind,
)
from fastapi_operator.reconcile.observe import health, projection, references
from fastapi_operator.reconcile.observe.attempt import Attempt
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, is_record_name
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.observed import Child, Health, Replicas, Rotation
from fastapi_operator.reconcile.observe.own_status import own_status
from fastapi_operator.reconcile.observe.preflight_report import PREFLIGHT_ANNOTATION
from fastapi_operator.reconcile.observe.tuning_record import TuningRecord, record_name
from fastapi_operator.resources.desired import ObjectKey

Body = Mapping[str, Any]

# The kinds whose pods are replaced when their template changes.
WORKLOADS = (DEPLOYMENT, STATEFUL_SET)

# Annotations of a service with this prefix are requests to the operator; others are ignored.
REQUEST_PREFIX = f"{naming.GROUP}/"


@dataclass(frozen=True, slots=True)
class LiveService:
    """A FastAPIService as it was last reported.

    Attributes:
        key: Namespace and name.
        uid: Its uid.
        generation: Generation of its spec.
        version: Its resourceVersion.
        deleting: Whether it has a deletionTimestamp.
        text: The relevant ``metadata``, ``spec`` and ``status`` as JSON, which takes a third of
            the memory of dictionaries. The status is the part that the operator wrote;
            ``hasForeignStatus`` is whether there is more.
    """

    key: ServiceKey
    uid: str
    generation: int
    version: int
    deleting: bool
    text: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The service as a new dictionary."""
        body: dict[str, Any] = orjson.loads(self.text)
        return body


def object_key(kind: Kind, body: Body) -> ObjectKey:
    """Returns the identity of a live object; items of a list have no kind of their own."""
    metadata = body["metadata"]
    return ObjectKey(kind.group, kind.kind, sys.intern(metadata["namespace"]), metadata["name"])


def service_of(kind: Kind, body: Body) -> str:
    """Returns the service of an object; empty if the object belongs to no service.

    The controller owner reference decides. Other controllers copy labels to their own objects, for
    example a StatefulSet to its ControllerRevisions, so a label alone is not enough. Only an object
    without any controller, for example a retained volume, belongs to the service in its label, and
    only if its name is one of that service.
    """
    metadata = body["metadata"]
    controller = _controller(body)
    if controller is None:
        service = str((metadata.get("labels") or {}).get(naming.SERVICE_LABEL, ""))
        if not naming.is_child_name(service, metadata["name"]):
            return ""
    elif _is_service(controller):
        service = str(controller["name"])
    else:
        return ""
    if kind is CONTROLLER_REVISION and (
        controller is None or naming.release_number(service, metadata["name"]) is None
    ):
        return ""
    return service


def _is_service(controller: Mapping[str, Any]) -> bool:
    group = str(controller.get("apiVersion", "")).rpartition("/")[0]
    return (group, controller.get("kind")) == (naming.GROUP, naming.KIND)


def _controller(body: Body) -> Mapping[str, Any] | None:
    references = body["metadata"].get("ownerReferences") or ()
    return next((reference for reference in references if reference.get("controller")), None)


def live_service(body: Body) -> LiveService:
    """Returns the facts that are kept of a service."""
    metadata = body["metadata"]
    requests = {
        name: value
        for name, value in (metadata.get("annotations") or {}).items()
        if name.startswith(REQUEST_PREFIX)
    }
    own = own_status(body)
    kept = {
        "apiVersion": naming.API_VERSION,
        "kind": naming.KIND,
        "metadata": {
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "generation": metadata.get("generation", 0),
            "annotations": requests,
            **({"finalizers": metadata["finalizers"]} if metadata.get("finalizers") else {}),
        },
        "spec": body.get("spec") or {},
        "status": own,
        "hasForeignStatus": own != (body.get("status") or {}),
    }
    return LiveService(
        key=ServiceKey(sys.intern(metadata["namespace"]), sys.intern(metadata["name"])),
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 0)),
        version=int(metadata.get("resourceVersion") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        text=orjson.dumps(kept, option=orjson.OPT_SORT_KEYS),
    )


def child_of(
    kind: Kind,
    key: ObjectKey,
    body: Body,
    *,
    known: Child | None,
    version: int,
    written: bool,
    overridden: tuple[str, ...] = (),
) -> Child:
    """Returns the facts that are kept of a child.

    Args:
        kind: Its kind.
        key: Its identity.
        body: The live object.
        known: The facts that were kept before.
        version: Its resourceVersion.
        written: Whether the body is the response to the operator's own write.
        overridden: Fields that an admission policy changed in that write.
    """
    metadata = body["metadata"]
    same = known is not None and known.uid == metadata["uid"]
    live = projection.live_digest(body)
    expected: str | None = None
    if written:
        expected = live
    elif known is not None and same:
        expected = known.expected_live_digest
        overridden = known.overridden if known.live_digest == live else ()
    owner, service = _controller(body), sys.intern(service_of(kind, body))
    remembers = metadata["name"] if kind is CONFIG_MAP else ""
    judged = health.judge(kind.judge, body)
    if judged.reason == health.UNOBSERVED and _was_observed(known, metadata["uid"], live):
        judged = health.judge(kind.judge, _as_observed(body))
    if same and kind is CRON_JOB and judged.ready and known is not None:
        judged = _until_success(known.health, judged)
    return Child(
        key=known.key if known is not None else key,
        uid=metadata["uid"],
        # Equal in all children of a service, and so kept once.
        owner_uid=sys.intern(owner["uid"]) if owner else None,
        service=service,
        live_digest=live,
        expected_live_digest=expected,
        last_applied_digest=(metadata.get("annotations") or {}).get(projection.APPLIED_ANNOTATION),
        health=health.READY if judged == health.READY else Health(*judged),
        version=version,
        created=sys.intern(metadata.get("creationTimestamp", "")),
        changed=_changed(body) if kind in (CONFIG_MAP, HTTP_ROUTE) else "",
        deleting=bool(metadata.get("deletionTimestamp")),
        replicas=_replicas(kind, body),
        owned_fields=projection.owned_paths(body) if expected is None else None,
        stamp=references.read_stamp(body) if kind in WORKLOADS else None,
        requested_hash=(metadata.get("annotations") or {}).get(
            projection.REQUESTED_HASH_ANNOTATION
        ),
        rotation=Rotation.of(body) if kind is SECRET else None,
        attempt=Attempt.of(body) if kind is JOB else None,
        preflight=(metadata.get("annotations") or {}).get(PREFLIGHT_ANNOTATION),
        overridden=overridden,
        canary=CanaryRecord.of(body) if is_record_name(service, remembers) else None,
        tuning=TuningRecord.of(body) if remembers == record_name(service) else None,
    )


def _replicas(kind: Kind, body: Body) -> Replicas | None:
    if kind not in WORKLOADS:
        return None
    status = body.get("status", {})
    available = "availableReplicas" if kind is DEPLOYMENT else "readyReplicas"
    return Replicas(
        wanted=body.get("spec", {}).get("replicas", 1),
        ours=naming.FIELD_MANAGER in projection.owners_of(body, "spec", "replicas"),
        live=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        available=status.get(available, 0),
        available_since=_available_since(status),
    )


def _available_since(status: Body) -> str:
    for condition in status.get("conditions") or ():
        if (condition.get("type"), condition.get("status")) == ("Available", "True"):
            return str(condition.get("lastTransitionTime", ""))
    return ""


def _until_success(before: Health, now: Health) -> Health:
    """Returns a failure as long as no run has succeeded since, also while the next one runs.

    While a run is active, the status of a CronJob no longer shows that the last one failed. The
    message of either ends with the last success.
    """
    return before if before.failed and before.message.endswith(now.message) else now


def _changed(body: Body) -> str:
    """Returns when the operator's fields of an object last changed."""
    entries = body["metadata"].get("managedFields") or ()
    times = [
        str(entry.get("time", ""))
        for entry in entries
        if entry.get("manager") == naming.FIELD_MANAGER
    ]
    return max(times, default="")


def _was_observed(known: Child | None, uid: str, live_digest: str) -> bool:
    """Whether a status is about the newest revision although it is of an older generation.

    That is so if the operator's fields are as before, for example after an autoscaler changed the
    number of pods.
    """
    if known is None or known.uid != uid or known.live_digest != live_digest:
        return False
    return known.health.reason != health.UNOBSERVED


def _as_observed(body: Body) -> Body:
    """Returns a workload as if its controller had observed the newest generation."""
    generation = body["metadata"].get("generation", 1)
    return {**body, "status": {**body.get("status", {}), "observedGeneration": generation}}


def last_editor(body: Body) -> str:
    """Returns the other field manager that changed an object last; empty if there is none."""
    entries = [
        entry
        for entry in body["metadata"].get("managedFields") or ()
        if entry.get("manager") != naming.FIELD_MANAGER and entry.get("subresource") != "status"
    ]
    newest = max(entries, key=lambda entry: str(entry.get("time", "")), default=None)
    return str(newest.get("manager", "")) if newest else ""
