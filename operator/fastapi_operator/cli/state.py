"""The state of a service and of its parts, as ``status`` shows it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fastapi_operator import naming
from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cluster.kinds import CONTROLLER_REVISION, Kind
from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe import health
from fastapi_operator.reconcile.plan.conditions import OVERLOADED

CHECK_OPERATOR = (
    "check that it runs and watches this namespace: "
    "kubectl get pods --all-namespaces -l app.kubernetes.io/name=fastapi-operator"
)


class State(NamedTuple):
    """The state of a service.

    Attributes:
        record: The state as ``status -o json`` prints it.
        rollouts: The Deployments whose pods are being replaced, in words.
        body: The service.
    """

    record: dict[str, Any]
    rollouts: tuple[str, ...]
    body: Mapping[str, Any]


async def read(cluster: Cluster, name: str, facts: Facts) -> State:
    """Reads the state of a service; ends the command if it does not exist.

    Raises:
        ApiError: The API server refused.
    """
    body = await cluster.read_service(name)
    children = await cluster.read_children(name, facts)
    return State(_record(body, children), tuple(rollouts(children)), body)


def rollouts(children: Sequence[tuple[Kind, Mapping[str, Any]]]) -> Iterator[str]:
    """Yields each Deployment that has old, missing or unready pods."""
    for kind, body in children:
        if kind.kind != "Deployment":
            continue
        status, wanted = body.get("status") or {}, body["spec"].get("replicas", 1)
        total, updated, ready = (
            status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")
        )
        if updated < wanted or total > updated or ready < wanted:
            name, old = body["metadata"]["name"], f", {total - updated} old"
            yield (
                f"{name}: {updated} of {wanted} pods updated, {ready} ready"
                f"{old if total > updated else ''}"
            )


def _record(
    body: Mapping[str, Any], children: Iterable[tuple[Kind, Mapping[str, Any]]]
) -> dict[str, Any]:
    reported = body.get("status") or {}
    conditions = {item["type"]: item for item in reported.get("conditions") or ()}
    ready, overloaded = (conditions.get(kind, {}) for kind in ("Ready", OVERLOADED))
    current = ready.get("observedGeneration") == body["metadata"]["generation"]
    reason, message = ready.get("reason", "NotObserved"), ready.get("message", "")
    if body["metadata"].get("deletionTimestamp"):
        current, reason, message = False, "Deleting", "the service is being deleted"
    elif not current:
        reason, message = "NotObserved", unobserved(body)
    return {
        "service": body["metadata"]["name"],
        "namespace": body["metadata"]["namespace"],
        "image": body["spec"].get("image"),
        "url": reported.get("url"),
        "entries": reported.get("entries") or [],
        "ready": ready.get("status") == "True" and current,
        "stalled": conditions.get("Stalled", {}).get("status") == "True",
        "reason": reason,
        "message": message,
        "overloaded": overloaded["message"] if overloaded.get("status") == "True" else None,
        "imageDigest": reported.get("imageDigest"),
        "migration": reported.get("migration"),
        "preflight": reported.get("preflight"),
        "canary": reported.get("canary"),
        "leak": reported.get("leak"),
        "parts": _parts(conditions, children),
        "tuning": reported.get("tuning") or [],
        "pending": reported.get("pending") or [],
        "settings": reported.get("settings"),
        "problems": reported.get("problems") or [],
    }


def unobserved(body: Mapping[str, Any]) -> str:
    """Returns that the operator has not seen a service, or only an older generation of it."""
    if (body.get("status") or {}).get("conditions"):
        return "the operator has not observed this generation yet"
    return f"no operator has observed this service yet; {CHECK_OPERATOR}"


def _parts(
    conditions: Mapping[str, Mapping[str, Any]],
    children: Iterable[tuple[Kind, Mapping[str, Any]]],
) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for kind, body in children:
        if kind is CONTROLLER_REVISION:
            continue
        part = body["metadata"]["labels"].get(naming.COMPONENT_LABEL, "")
        state = health.judge(kind.judge, body)
        found.setdefault(part, []).append(
            {
                "kind": kind.kind,
                "name": body["metadata"]["name"],
                "created": body["metadata"]["creationTimestamp"],
                "ready": state.ready,
                "message": state.message,
            }
        )
    parts = []
    for part in Part:
        condition = conditions.get(part.condition)
        if condition is None and part.value not in found:
            continue
        parts.append(
            {
                "part": part.value,
                "ready": None if condition is None else condition["status"] == "True",
                "reason": "" if condition is None else condition.get("reason", ""),
                "message": "" if condition is None else condition.get("message", ""),
                "objects": sorted(
                    found.get(part.value, ()), key=lambda item: (item["kind"], item["name"])
                ),
            }
        )
    return parts
