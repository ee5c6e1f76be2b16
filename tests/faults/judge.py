"""Checks after a fault: the same objects, no object created twice, no orphan, few requests."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import (
    CONTROLLER_REVISION,
    OWNED,
    PERSISTENT_VOLUME_CLAIM,
    SECRET,
    Kind,
)
from fastapi_operator.reconcile.observe.canary_record import DATA_KEY
from tests.api.kube import Kube, RefusedError
from tests.benchmarks.operator import audit
from tests.faults.people import SERVICES

Objects = dict[str, dict[str, Any]]

# Different for each life of an object; only requested fields are compared.
_BOOKKEEPING = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
)
_KEPT = frozenset({SECRET.kind, PERSISTENT_VOLUME_CLAIM.kind})
# Differs with uids and generated passwords: digests of applied bodies and of values that pods read.
_OURS = f"{naming.GROUP}/"
_REQUESTED = (naming.RESTART_ANNOTATION, naming.APPROVE_ANNOTATION)
# The real controllers make these in each namespace, and count the rollouts of a Deployment.
_IN_EACH_NAMESPACE = frozenset({"kube-root-ca.crt", "default"})
_COUNTED = "deployment.kubernetes.io/revision"
# The names of everything that the webhooks of the tests add to objects.
INJECTED = "injected.example"
# Fields that the API server fills in for each object.
_FILLED = {
    "Service": ("clusterIP", "clusterIPs"),
    "PersistentVolumeClaim": ("volumeName",),
    "Job": ("selector",),
}
_RECORD = re.compile(r"(controllerrevisions/.*-release-)\d+$")
# Its hash includes the identity of the database, which is another one in each run.
_MIGRATION = re.compile(r"(jobs/.*-migrate-)[0-9a-f]{10}$")
# Labels of a Job's pods that the API server adds: the uid and the name of the Job.
_OF_A_JOB = re.compile(r"^(batch\.kubernetes\.io/)?(controller-uid|job-name)$")


def live(kube: Kube, namespaces: Iterable[str]) -> Iterable[tuple[Kind, dict[str, Any]]]:
    """Every object of a kind that the operator owns, except those of built-in controllers."""
    for namespace in namespaces:
        for kind in OWNED:
            try:
                found = kube.items(kind.path(namespace))
            except RefusedError as error:
                if error.status == 404:
                    continue  # An optional kind that is not there.
                raise
            yield from ((kind, body) for body in found if not _is_built_in(body))


def _is_built_in(body: Mapping[str, Any]) -> bool:
    metadata = body["metadata"]
    owners = metadata.get("ownerReferences") or ()
    controller = next((owner["kind"] for owner in owners if owner.get("controller")), naming.KIND)
    return controller != naming.KIND or metadata["name"] in _IN_EACH_NAMESPACE


def snapshot(kube: Kube, namespaces: Iterable[str]) -> Objects:
    """The objects as they were asked for, comparable between runs."""
    found = {
        f"{kind.plural}/{body['metadata']['namespace']}/{body['metadata']['name']}": meaning(
            kind, without_injected(body)
        )
        for kind, body in live(kube, namespaces)
    }
    return _renumbered(found)


def _renumbered(objects: Objects) -> Objects:
    """The release records numbered from 1, and the migration Jobs in the order of their images.

    A service that is created again begins with a higher number if the record of the deleted one is
    not collected yet.
    """
    found, count = dict(objects), Counter[str]()
    for name in sorted(objects, key=lambda name: (len(name), name)):
        match = _RECORD.match(name)
        if match:
            count[match[1]] += 1
            body = found.pop(name)
            number = f"{match[1]}{count[match[1]]}"
            metadata = {**body["metadata"], "name": number.rpartition("/")[2]}
            found[number] = {**body, "metadata": metadata, "revision": count[match[1]]}
    for name in sorted(objects, key=lambda name: (repr(objects[name].get("spec")), name)):
        match = _MIGRATION.match(name)
        if match:
            count[match[1]] += 1
            body = found.pop(name)
            number = f"{match[1]}{count[match[1]]}"
            metadata = {**body["metadata"], "name": number.rpartition("/")[2]}
            found[number] = {**body, "metadata": metadata}
    return found


def meaning(kind: Kind, body: Mapping[str, Any]) -> dict[str, Any]:
    """The requested fields of an object: without status, uids, and generated values."""
    metadata = {k: v for k, v in body["metadata"].items() if k not in _BOOKKEEPING}
    metadata["annotations"] = _annotations(metadata.get("annotations"))
    metadata["ownerReferences"] = [
        {name: value for name, value in owner.items() if name != "uid"}
        for owner in metadata.get("ownerReferences") or ()
    ]
    rest = {k: v for k, v in body.items() if k not in ("metadata", "status", "kind", "apiVersion")}
    if kind.kind == SECRET.kind:
        rest["data"] = sorted(rest.get("data") or ())
    if kind.kind == CONTROLLER_REVISION.kind:
        # The identities of databases and migrations are different in each run.
        rest["data"] = {"spec": rest["data"]["spec"], "migrated": len(rest["data"]["migrated"])}
    if DATA_KEY in (rest.get("data") or {}):
        rest["data"] = _record_of_canary(rest["data"][DATA_KEY])
    if isinstance(rest.get("spec"), dict):
        filled = _FILLED.get(kind.kind, ())
        rest["spec"] = {k: v for k, v in rest["spec"].items() if k not in filled}
        template = rest["spec"].get("template")
        if isinstance(template, dict):
            rest["spec"]["template"] = {**template, "metadata": _template(template["metadata"])}
    return {"metadata": metadata, **rest}


def _record_of_canary(text: str) -> dict[str, Any]:
    """The decision; identity, times and figures are different in each run."""
    record = json.loads(text)
    return {name: record[name] for name in ("image", "phase", "outcome", "reason", "message")}


def _template(metadata: Mapping[str, Any]) -> dict[str, Any]:
    labels = metadata.get("labels") or {}
    return {
        **{k: v for k, v in metadata.items() if k not in ("annotations", "creationTimestamp")},
        "labels": {k: v for k, v in labels.items() if not _OF_A_JOB.match(k)},
        "annotations": _annotations(metadata.get("annotations")),
    }


def _annotations(found: Mapping[str, str] | None) -> dict[str, str]:
    """Those whose values follow from the service alone; of the others, that they are there."""
    return {
        name: value if name in _REQUESTED or not name.startswith(_OURS) else "…"
        for name, value in (found or {}).items()
        if name != _COUNTED
    }


def without_injected(value: Any) -> Any:
    """Returns a body without the fields and list items that a webhook added."""
    if isinstance(value, dict):
        kept = {k: without_injected(v) for k, v in value.items() if not k.startswith(INJECTED)}
        return {k: v for k, v in kept.items() if v != [] or value[k] == []}
    if isinstance(value, list):
        return [without_injected(item) for item in value if not _is_injected(item)]
    return value


def _is_injected(item: Any) -> bool:
    names = (item.get("name"), item.get("key")) if isinstance(item, dict) else ()
    return any(str(name).startswith(INJECTED) for name in names)


def differences(now: Objects, wanted: Objects) -> list[str]:
    """Objects that are missing, unexpected, or different."""
    found = [f"missing: {name}" for name in sorted(wanted.keys() - now.keys())]
    found += [f"too much: {name}" for name in sorted(now.keys() - wanted.keys())]
    for name in sorted(now.keys() & wanted.keys()):
        found += [f"{name}: {line}" for line in _unequal("", now[name], wanted[name])]
    return found


def _unequal(path: str, now: Any, wanted: Any) -> list[str]:
    if isinstance(now, dict) and isinstance(wanted, dict):
        return [
            line
            for key in sorted(now.keys() | wanted.keys())
            for line in _unequal(f"{path}.{key}", now.get(key), wanted.get(key))
        ]
    return [] if now == wanted else [f"{path} is {now!r} instead of {wanted!r}"]


def orphans(kube: Kube, namespaces: tuple[str, ...]) -> list[str]:
    """Objects whose service is gone, and that are no data or credentials to be kept."""
    services = {
        body["metadata"]["uid"]
        for namespace in namespaces
        for body in kube.items(SERVICES.format(namespace=namespace))
    }
    found = []
    for kind, body in live(kube, namespaces):
        owners = {owner["uid"] for owner in body["metadata"].get("ownerReferences") or ()}
        if not owners & services and not (kind.kind in _KEPT and not owners):
            found.append(f"orphan: {kind.plural}/{body['metadata']['name']}")
    return found


def secrets(kube: Kube, namespaces: tuple[str, ...]) -> dict[str, Any]:
    """The values of Secrets by uid: none may ever change."""
    return {
        body["metadata"]["uid"]: (body["metadata"]["name"], body.get("data"))
        for kind, body in live(kube, namespaces)
        if kind.kind == SECRET.kind
    }


def made_twice(requests: Iterable[audit.Request], allowed: Mapping[str, int]) -> list[str]:
    """Objects that were created more often than deleted by others.

    Args:
        requests: The operator's.
        allowed: How often the objects of a service, by its name, may be made again.
    """
    made = Counter(
        (request.resource, request.namespace, request.name)
        for request in requests
        if request.code == 201 and request.resource != "events"
    )
    return [
        f"made {count} times: {resource}/{name}"
        for (resource, _, name), count in sorted(made.items())
        if count > 1 + max((n for who, n in allowed.items() if name.startswith(who)), default=0)
    ]
