"""Completes a desired object to the body that is applied: owner, digest, replicas, stamp.

The digest excludes the replicas and the stamp of the values that pods read: both depend on live
objects, are added when the body is sent, and are compared separately.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import DEPLOYMENT
from fastapi_operator.parts import Part
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.reconcile.observe.claims import Rival
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Child, Phase, Rotation
from fastapi_operator.reconcile.observe.projection import (
    APPLIED_ANNOTATION,
    REQUESTED_HASH_ANNOTATION,
    digest,
)
from fastapi_operator.reconcile.observe.references import (
    References,
    Values,
    compute_stamp,
    find_references,
    with_annotations,
    with_stamp,
)
from fastapi_operator.reconcile.plan.switches import with_switches
from fastapi_operator.resources.desired import Desired, ObjectKey

_OVERRIDDEN_SHOWN = 5


@dataclass(frozen=True)
class OwnedObject:
    """A desired object with the fields that every object of a service carries.

    Attributes:
        desired: The desired object.
        key: Its identity.
        body: Its body with owner reference and digest, without replicas and stamp.
        built_digest: Digest of the body without the annotation that holds it.
        replicas: The desired ``spec.replicas``; None if an autoscaler owns the field.
        references: The keys of Secrets and ConfigMaps that its pods read.
    """

    desired: Desired
    key: ObjectKey
    body: Mapping[str, Any]
    built_digest: str
    replicas: int | None = None
    references: References = field(default_factory=dict)


def make_owned(
    desired: Desired, owner: Owner, *, restart: str = "", rotate: str = ""
) -> OwnedObject:
    """Adds the fields that every object of a service carries.

    Args:
        desired: The desired object.
        owner: Its service.
        restart: The service's newest request to restart the app's pods; empty if there is none.
        rotate: The newest request to rotate its credentials; empty if there is none.
    """
    metadata = dict(desired.body["metadata"])
    if not desired.retain:
        metadata["ownerReferences"] = [owner.reference]
    if desired.requested_hash:
        origin = {REQUESTED_HASH_ANNOTATION: desired.requested_hash}
        metadata["annotations"] = {**metadata.get("annotations", {}), **origin}
    if rotate and desired.generate and desired.generate.alternating:
        # Credentials that are created now are newer than any request.
        done = {naming.ROTATION_ANNOTATION: Rotation(rotate, Phase.CLOSED, 0).text}
        metadata["annotations"] = {**metadata.get("annotations", {}), **done}
    body: dict[str, Any] = {**desired.body, "metadata": metadata}
    if restart and desired.part is Part.APP and desired.key.kind == DEPLOYMENT.kind:
        body["spec"] = {
            **body["spec"],
            "template": with_annotations(
                body["spec"]["template"], {naming.RESTART_ANNOTATION: restart}
            ),
        }
    replicas = None
    if "replicas" in body.get("spec", ()):
        spec = dict(body["spec"])
        replicas = spec.pop("replicas")
        body["spec"] = spec
    if "stringData" in body:
        # The API server moves stringData to data, so that it could not be compared.
        texts = body.pop("stringData")
        coded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        body["data"] = {**body.get("data", {}), **coded}
    built_digest = digest(body)
    body = with_switches(body)
    body["metadata"] = {
        **metadata,
        "annotations": {**metadata.get("annotations", {}), APPLIED_ANNOTATION: built_digest},
    }
    return OwnedObject(
        desired=desired,
        key=desired.key,
        body=body,
        built_digest=built_digest,
        replicas=replicas,
        references=find_references(desired.body),
    )


def complete_body(
    owned: OwnedObject, child: Child | None, values: Mapping[ObjectKey, Values]
) -> Mapping[str, Any]:
    """Returns the body to send now, with replicas and with the stamp of the current values."""
    before = child.stamp if child is not None else None
    return with_stamp(_with_replicas(owned, child), compute_stamp(owned.references, values, before))


def without(
    values: Mapping[ObjectKey, Values], held: frozenset[ObjectKey]
) -> Mapping[ObjectKey, Values]:
    """Returns the values without those whose changes must not restart pods yet."""
    if not held:
        return values
    return {key: known for key, known in values.items() if key not in held}


def stamp_is_current(owned: OwnedObject, child: Child, values: Mapping[ObjectKey, Values]) -> bool:
    """Whether the pods started with the current values."""
    return (child.stamp or {}) == compute_stamp(owned.references, values, child.stamp)


def find_unwatched(
    objects: Sequence[OwnedObject], watched: frozenset[ObjectKey]
) -> tuple[Problem, ...]:
    """Returns a warning for each object of the user that no watch reports.

    It may exist without the label, or it may be missing. Running pods show neither.
    """
    ours = {owned.key for owned in objects}
    read = {key for owned in objects for key in owned.references} - ours - watched
    return tuple(
        Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec",
            message=f"{key.kind} {key.name} does not exist or is not watched: its changes do not "
            "restart pods",
            remedy="create it if it is missing, and run: kubectl label "
            f"{key.kind.lower()} {key.name} -n {key.namespace} "
            f"{naming.WATCHED_LABEL}=true",
        )
        for key in sorted(read)
    )


def find_disputed(rivals: Iterable[Rival]) -> Iterator[Problem]:
    """Yields a warning for each host that an older service claims as well."""
    paths: dict[tuple[str, str, str, str], list[str]] = {}
    for claim, namespace, service in rivals:
        paths.setdefault((claim.edge, claim.host, namespace, service), []).append(claim.path)
    for (edge, host, namespace, service), found in sorted(paths.items()):
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.exposure",
            message=f"{edge} gives {', '.join(sorted({host + path for path in found}))} to the "
            f"older service {namespace}/{service}",
            remedy="remove the host from one of them, or give this one another path",
        )


def find_overridden(
    objects: Iterable[OwnedObject], children: Mapping[ObjectKey, Child]
) -> Iterator[Problem]:
    """Yields a warning for each object that an admission policy changed while it was written."""
    for owned in objects:
        child = children.get(owned.key)
        if child is not None and child.overridden:
            more = len(child.overridden) - _OVERRIDDEN_SHOWN
            fields = ", ".join(child.overridden[:_OVERRIDDEN_SHOWN])
            yield Problem(
                severity=Severity.WARNING,
                stage=Stage.PLAN,
                path="spec",
                message=f"an admission policy of the cluster changes {owned.key}: {fields}"
                + (f" and {more} more" if more > 0 else ""),
                remedy=f"exempt objects with the label app.kubernetes.io/managed-by="
                f"{naming.FIELD_MANAGER} from the policy, or request its value in the spec",
            )


def _with_replicas(owned: OwnedObject, child: Child | None) -> Mapping[str, Any]:
    """Returns the body with the replicas to send now.

    If a manager omits a field that it alone owns, the API server removes the field, and the
    default of one pod applies. So if an autoscaler is to own it, the live count is sent until the
    autoscaler has taken the field over, and never after that. An exception is zero
    pods, which disables the autoscaler: the smallest number is sent, and it takes over from there.
    """
    if owned.replicas is None:
        return owned.body
    replicas: int | None = owned.replicas
    if owned.desired.hands_over_replicas and child is not None and child.replicas is not None:
        replicas = child.replicas.wanted if child.replicas.ours else None
        if _is_switched_off(owned, child):
            replicas = owned.replicas
    if replicas is None:
        return owned.body
    return {**owned.body, "spec": {**owned.body["spec"], "replicas": replicas}}


def replicas_match(owned: OwnedObject, child: Child) -> bool:
    """Whether the live replicas are as desired."""
    if owned.replicas is None or child.replicas is None:
        return True
    if owned.desired.hands_over_replicas:
        return not _is_switched_off(owned, child)
    return child.replicas.ours and child.replicas.wanted == owned.replicas


def _is_switched_off(owned: OwnedObject, child: Child) -> bool:
    """Whether an autoscaled workload was scaled to zero, where its autoscaler does nothing."""
    return bool(owned.replicas) and child.replicas is not None and child.replicas.wanted == 0
