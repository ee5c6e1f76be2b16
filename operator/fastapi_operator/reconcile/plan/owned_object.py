"""The body as it is sent: whose it is, what was applied last, what only the live world knows.

Replicas and the stamp of what pods read are no part of the digest: they are added when the body is
sent, and compared apart.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import DEPLOYMENT
from fastapi_operator.parts import Part
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Child, Phase, Rotation
from fastapi_operator.reconcile.observe.projection import (
    APPLIED_ANNOTATION,
    ASKED_ANNOTATION,
    digest,
)
from fastapi_operator.reconcile.observe.references import (
    References,
    Values,
    annotated,
    references,
    stamp,
    stamped,
)
from fastapi_operator.resources.desired import Desired, ObjectKey


@dataclass(frozen=True)
class Sealed:
    """A wanted object made ready to be sent.

    Attributes:
        desired: What was wanted.
        key: Its identity.
        body: With owner reference and the digest as annotation, without replicas and stamp.
        digest: Digest of everything in the body but the annotation itself.
        replicas: What ``spec.replicas`` should be; None where it is not ours to say.
        references: What its pods read of Secrets and ConfigMaps.
    """

    desired: Desired
    key: ObjectKey
    body: Mapping[str, Any]
    digest: str
    replicas: int | None = None
    references: References = field(default_factory=dict)


def seal(desired: Desired, owner: Owner, *, restart: str = "", rotate: str = "") -> Sealed:
    """Adds to a wanted object what every object of a service carries.

    Args:
        desired: What is wanted.
        owner: Its service.
        restart: The service's newest wish to have the app's pods replaced, where there is one.
        rotate: The newest wish to have its credentials rotated.
    """
    metadata = dict(desired.body["metadata"])
    if not desired.retain:
        metadata["ownerReferences"] = [owner.reference]
    if desired.requested_hash:
        told = {ASKED_ANNOTATION: desired.requested_hash}
        metadata["annotations"] = {**metadata.get("annotations", {}), **told}
    if rotate and desired.generate and desired.generate.alternating:
        # Credentials that are made now are newer than any wish.
        done = {naming.ROTATION_ANNOTATION: Rotation(rotate, Phase.CLOSED, 0).text}
        metadata["annotations"] = {**metadata.get("annotations", {}), **done}
    body: dict[str, Any] = {**desired.body, "metadata": metadata}
    if restart and desired.part is Part.APP and desired.key.kind == DEPLOYMENT.kind:
        body["spec"] = {
            **body["spec"],
            "template": annotated(body["spec"]["template"], {naming.RESTART_ANNOTATION: restart}),
        }
    replicas = None
    if "replicas" in body.get("spec", ()):
        spec = dict(body["spec"])
        replicas = spec.pop("replicas")
        body["spec"] = spec
    if "stringData" in body:
        # The API server turns stringData into data and forgets it: nothing to compare with.
        texts = body.pop("stringData")
        coded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        body["data"] = {**body.get("data", {}), **coded}
    mark = digest(body)
    body["metadata"] = {
        **metadata,
        "annotations": {**metadata.get("annotations", {}), APPLIED_ANNOTATION: mark},
    }
    return Sealed(
        desired=desired,
        key=desired.key,
        body=body,
        digest=mark,
        replicas=replicas,
        references=references(desired.body),
    )


def completed(
    sealed: Sealed, child: Child | None, values: Mapping[ObjectKey, Values]
) -> Mapping[str, Any]:
    """The body as it may be sent now: with replicas, and stamped with what its pods will read."""
    before = child.stamp if child is not None else None
    return stamped(_with_replicas(sealed, child), stamp(sealed.references, values, before))


def stamp_in_order(sealed: Sealed, child: Child, values: Mapping[ObjectKey, Values]) -> bool:
    """Whether the pods were started with the values that they read now."""
    return (child.stamp or {}) == stamp(sealed.references, values, child.stamp)


def unwatched(wanted: Sequence[Sealed], values: Mapping[ObjectKey, Values]) -> tuple[Problem, ...]:
    """A warning for each object of the user's whose changes will not reach the pods."""
    ours = {sealed.key for sealed in wanted}
    read = {key for sealed in wanted for key in sealed.references} - ours - values.keys()
    return tuple(
        Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec",
            message=f"{key.kind} {key.name} is not watched: a change of it restarts no pod",
            remedy=f"kubectl label {key.kind.lower()} {key.name} {naming.WATCHED_LABEL}=true",
        )
        for key in sorted(read)
    )


def _with_replicas(sealed: Sealed, child: Child | None) -> Mapping[str, Any]:
    """The body with the replicas that may be sent now.

    A field that we alone own and then leave out is removed, and the API server's default of one
    pod takes its place. So where an autoscaler is to own it, the live count is sent until the
    autoscaler has taken the field over, and never after.
    """
    if sealed.replicas is None:
        return sealed.body
    replicas: int | None = sealed.replicas
    if sealed.desired.hands_over_replicas and child is not None and child.replicas is not None:
        replicas = child.replicas.wanted if child.replicas.ours else None
    if replicas is None:
        return sealed.body
    return {**sealed.body, "spec": {**sealed.body["spec"], "replicas": replicas}}


def replicas_in_order(sealed: Sealed, child: Child) -> bool:
    """Whether the live replicas need no write."""
    if sealed.replicas is None or child.replicas is None or sealed.desired.hands_over_replicas:
        return True
    return child.replicas.ours and child.replicas.wanted == sealed.replicas
