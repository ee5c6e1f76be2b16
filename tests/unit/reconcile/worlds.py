"""Desired and live objects for the tests of steps and status."""

from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import owned_kind
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Child, Health, ReleaseRecord, Replicas
from fastapi_operator.reconcile.plan.owned_object import OwnedObject, make_owned
from fastapi_operator.resources.desired import Desired, Gate, Generated, ObjectKey, Write

OWNER = Owner("default", "shop", "uid-shop")
UNREADY = Health(False, "PodsNotReady", "0 of 1 pods are ready")
FAILED = Health(False, "BackoffLimitExceeded", "no", failed=True)

_GROUPS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}


def desired(kind: str, name: str, part: Part = Part.APP, **options: Any) -> Desired:
    """A desired object."""
    body: dict[str, Any] = {
        "apiVersion": _GROUPS.get(kind, "v1"),
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": OWNER.namespace,
            "labels": naming.labels(OWNER.name, part),
        },
    }
    body.update(options.pop("body", {}))
    return Desired(part=part, body=body, **options)


def app(image: str = "shop:1", **options: Any) -> list[Desired]:
    """An app behind the MIGRATED gate, and its Service, which is not."""
    spec = {"replicas": 2, "template": {"image": image}}
    options = {"gate": Gate.MIGRATED, **options}
    return [
        desired("Service", "shop", body={"spec": {"ports": [{"port": 80}]}}),
        desired("ConfigMap", "shop-app", body={"data": {"image": image}}, gate=Gate.MIGRATED),
        desired("Deployment", "shop", body={"spec": spec}, **options),
    ]


def database(*, retain: bool = True) -> list[Desired]:
    """Credentials, a volume and a StatefulSet."""
    once: dict[str, Any] = {"write": Write.CREATE_ONCE, "retain": retain}
    return [
        desired("Secret", "shop-db", Part.DATABASE, generate=Generated(("password",)), **once),
        desired("PersistentVolumeClaim", "shop-db", Part.DATABASE, **once),
        desired("StatefulSet", "shop-db", Part.DATABASE),
    ]


def migration(key: str, **pod: Any) -> Desired:
    """The migration Job."""
    return desired(
        "Job",
        f"shop-migrate-{key}",
        Part.MIGRATION,
        body={"spec": {"template": {"spec": pod}}},
        write=Write.CREATE_ONCE,
        gate=Gate.DATABASE,
    )


def owned(objects: list[Desired]) -> tuple[OwnedObject, ...]:
    """Desired objects as they are applied."""
    return tuple(make_owned(item, OWNER) for item in objects)


def child(item: Desired | ObjectKey, **changes: Any) -> Child:
    """The live object right after it was applied, with ``changes``."""
    key = item if isinstance(item, ObjectKey) else item.key
    retained = isinstance(item, Desired) and item.retain
    digest = make_owned(item, OWNER).built_digest if isinstance(item, Desired) else None
    values: dict[str, Any] = {
        "key": key,
        "uid": f"uid-{key.kind}-{key.name}",
        "owner_uid": None if retained else OWNER.uid,
        "service": OWNER.name,
        "live_digest": f"live-{digest}",
        "expected_live_digest": f"live-{digest}",
        "last_applied_digest": digest,
        "health": Health(True),
        "version": 5,
    }
    if key.kind in ("Deployment", "StatefulSet"):
        available = 2 if changes.get("health", Health(True)).ready else 0
        values["replicas"] = Replicas(2, ours=True, live=2, updated=2, available=available)
    owned_kind(key.group, key.kind)
    return Child(**{**values, **changes})


def children(*found: Child) -> dict[ObjectKey, Child]:
    """Live objects by key."""
    return {item.key: item for item in found}


def record(*migrated: str, **spec: Any) -> ReleaseRecord:
    """A release record."""
    return ReleaseRecord(spec=spec, migrated=migrated, revision=1)
