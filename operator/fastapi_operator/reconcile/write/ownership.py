"""Who owns an existing object that has the name of a desired one."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator import naming
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.projection import APPLIED_ANNOTATION
from fastapi_operator.reconcile.plan.refusals import Refusal
from fastapi_operator.reconcile.write.outcome import BlockedError, RefusedError
from fastapi_operator.resources.desired import ObjectKey


def _controller(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    references = body["metadata"].get("ownerReferences") or ()
    return next((ref for ref in references if ref.get("controller")), None)


def will_be_removed(body: Mapping[str, Any], owner: Owner) -> bool:
    """Whether an object will be deleted anyway, for example with a former service of that name."""
    if body["metadata"].get("deletionTimestamp"):
        return True
    controller = _controller(body)
    return (
        controller is not None
        and controller.get("kind") == naming.KIND
        and controller.get("name") == owner.name
        and controller.get("uid") != owner.uid
    )


def check_name(
    key: ObjectKey, body: Mapping[str, Any], owner: Owner, *, once: bool, digest: str = ""
) -> None:
    """Checks that the service owns an existing object; the arguments as below.

    Raises:
        BlockedError: It will be deleted anyway.
        RefusedError: The name is taken.
    """
    if will_be_removed(body, owner):
        raise BlockedError
    conflict = explain_name_conflict(key, body, owner, once=once, digest=digest)
    if conflict:
        raise RefusedError(Refusal(key, "NameTaken", conflict))


def explain_name_conflict(
    key: ObjectKey, body: Mapping[str, Any], owner: Owner, *, once: bool, digest: str
) -> str:
    """Returns why the operator must not write an object; empty if the service owns it.

    Args:
        key: The identity of the object.
        body: The live object.
        owner: The service.
        once: Whether the object is written once, for example a retained volume. Without a
            controller, such an object belongs to the service in its label. Other objects belong
            to it only if the operator wrote them, because people and controllers copy labels.
        digest: The digest of the desired body, which has the name of the service. An object that
            was created with it and has lost its labels belongs to the service as well.
    """
    controller = _controller(body)
    if controller is not None and controller.get("uid") == owner.uid:
        return ""
    labels = body["metadata"].get("labels") or {}
    applied = (body["metadata"].get("annotations") or {}).get(APPLIED_ANNOTATION)
    service = labels.get(naming.SERVICE_LABEL)
    if controller is None and service == owner.name and (once or applied is not None):
        return ""
    if controller is None and service is None and applied == digest:
        return ""
    if controller is not None:
        current = f"its owner is {controller.get('kind')} {controller.get('name')}"
    else:
        entries = body["metadata"].get("managedFields") or ()
        managers = sorted({str(entry.get("manager")) for entry in entries})
        current = f"it was created by {', '.join(managers) or 'another client'}"
    conflict = f"{key} exists already and does not belong to this service: {current}; "
    if controller is None and service is None and once:
        # Its data may be of this service, so the remedy must not lose them.
        return (
            f"{conflict}if it belonged to this service before, run: kubectl label "
            f"{key.kind.lower()} {key.name} -n {key.namespace} "
            f"{naming.SERVICE_LABEL}={owner.name}; otherwise rename it, or give the "
            "FastAPIService another name"
        )
    return f"{conflict}delete or rename it, or give the FastAPIService another name"
