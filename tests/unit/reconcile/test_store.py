"""Events, responses and lists: their effects, their order, and missed deletes."""

from dataclasses import replace
from typing import Any

import pytest

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import CONTROLLER_REVISION, DEPLOYMENT, Kind, owned_kind
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.observed import ReleaseRecord
from fastapi_operator.reconcile.observe.reading import object_key
from fastapi_operator.reconcile.observe.store import Change, Store
from fastapi_operator.reconcile.plan import release
from tests.unit.reconcile.worlds import OWNER

CONFIG = owned_kind("", "ConfigMap")
SHOP = ServiceKey("default", "shop")


def config(version: int, data: str = "1", *, uid: str = "u1", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "shop-app",
            "namespace": "default",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": naming.labels("shop", Part.APP),
            "ownerReferences": [OWNER.reference],
            "managedFields": [
                {
                    "manager": "fastapi-operator",
                    "operation": "Apply",
                    "fieldsV1": {"f:data": {"f:a": {}}},
                },
                {"manager": "rival", "operation": "Update", "time": "2026-01-01T00:00:00Z"},
            ],
            **metadata,
        },
        "data": {"a": data},
    }


def service(version: int, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "shop",
            "namespace": "default",
            "uid": "uid-shop",
            "generation": 1,
            "resourceVersion": str(version),
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "spec": spec,
    }


def written(store: Store, body: dict[str, Any]) -> None:
    assert store.put_child(CONFIG, body, written=True) is None


def test_the_event_of_an_own_write_is_ignored() -> None:
    store = Store()
    written(store, config(5))
    assert store.put_child(CONFIG, config(5)) is None


def test_an_event_from_before_a_write_does_not_undo_it() -> None:
    store = Store()
    written(store, config(5, "new"))
    assert store.put_child(CONFIG, config(4, "old")) is None
    (child,) = store.observed(SHOP).children.values()
    assert (child.version, child.live_digest) == (5, child.expected_live_digest)


def test_an_edit_is_urgent_and_its_field_manager_is_known() -> None:
    store = Store()
    written(store, config(5))
    assert store.put_child(CONFIG, config(6, "edited")) == Change(SHOP, urgent=True)
    (child,) = store.observed(SHOP).children.values()
    assert child.live_digest != child.expected_live_digest
    assert store.last_editor(child.key) == "rival"


def test_a_late_response_does_not_hide_a_later_edit() -> None:
    store = Store()
    written(store, config(4))
    store.put_child(CONFIG, config(6, "edited"))
    change = store.put_child(CONFIG, config(5), written=True)
    assert change == Change(SHOP, urgent=True)
    (child,) = store.observed(SHOP).children.values()
    assert child.version == 6
    assert child.live_digest != child.expected_live_digest


def test_a_change_of_health_is_not_urgent() -> None:
    body = {
        "metadata": {**config(5)["metadata"], "name": "shop", "generation": 1},
        "spec": {"replicas": 1},
        "status": {},
    }
    store = Store()
    store.put_child(DEPLOYMENT, body, written=True)
    ready = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    body = {**body, "metadata": {**body["metadata"], "resourceVersion": "6"}, "status": ready}
    assert store.put_child(DEPLOYMENT, body) == Change(SHOP, urgent=False)
    assert store.put_child(DEPLOYMENT, body) is None


def test_a_delete_event_of_the_former_object_is_ignored() -> None:
    store = Store()
    written(store, config(5, uid="u2"))
    key = object_key(CONFIG, config(5))
    assert store.drop_child(key, uid="u1") is None
    assert store.drop_child(key, uid="u2") == Change(SHOP, urgent=True)
    assert store.observed(SHOP).children == {}
    assert store.drop_child(key, uid="u2") is None


def test_a_late_response_does_not_restore_a_deleted_object() -> None:
    store = Store()
    written(store, config(5))
    key = object_key(CONFIG, config(5))
    assert store.delete_child(key, config(7)) == Change(SHOP, urgent=True)
    written(store, config(6))
    assert store.observed(SHOP).children == {}, "it was deleted after the write"
    written(store, config(8, uid="u2"))
    written(store, config(6))
    assert store.observed(SHOP).children[key].uid == "u2"


def test_a_late_response_does_not_restore_an_object_that_a_list_lacks() -> None:
    store = Store()
    written(store, config(5))
    store.missing_from(CONFIG, None, set(), 7)
    written(store, config(6))
    assert store.observed(SHOP).children == {}


def test_an_object_whose_label_is_restored_is_known_again() -> None:
    store = Store()
    written(store, config(5))
    key = object_key(CONFIG, config(5))
    store.delete_child(key, config(7))
    written(store, config(8))
    assert store.observed(SHOP).children[key].version == 8


def test_the_controller_owner_takes_precedence_over_the_label() -> None:
    store = Store()
    written(store, config(5))
    relabelled = config(6, labels={**naming.labels("other", Part.APP)})
    assert store.put_child(CONFIG, relabelled) is None  # no owned field changed
    assert len(store.observed(SHOP).children) == 1


def test_a_retained_object_that_changes_its_label_leaves_its_service() -> None:
    store = Store()
    written(store, config(5, ownerReferences=[]))
    labels = naming.labels("other", Part.APP)
    change = store.put_child(CONFIG, config(6, ownerReferences=[], labels=labels))
    assert change == Change(SHOP, urgent=True)
    assert store.observed(SHOP).children == {}


def test_a_list_finds_missed_deletes_but_keeps_newer_objects() -> None:
    store = Store()
    written(store, config(5))
    assert store.missing_from(CONFIG, None, set(), 4) == []
    assert store.missing_from(CONFIG, "elsewhere", set(), 9) == []
    assert store.missing_from(DEPLOYMENT, None, set(), 9) == []
    assert store.missing_from(CONFIG, None, set(), 9) == [Change(SHOP, urgent=True)]


def test_a_service_event_matters_only_if_a_relevant_field_changed() -> None:
    store = Store()
    assert store.put_service(service(1, image="a"))
    assert not store.put_service(service(1, image="a"))
    assert not store.put_service(service(2, image="a"))
    assert store.put_service(service(3, image="b"))
    assert not store.put_service(service(2, image="a"))
    live = store.service(SHOP)
    assert live is not None
    assert live.body["spec"] == {"image": "b"}
    assert live.body["metadata"]["annotations"] == {}


def test_the_delete_event_of_a_former_service_is_ignored() -> None:
    store = Store()
    store.put_service(service(5))
    old = service(4)
    old["metadata"]["uid"] = "older"
    store.drop_service(old)
    assert store.service(SHOP) is not None
    store.drop_service(service(6))
    assert store.service(SHOP) is None


def test_an_old_response_or_list_does_not_restore_a_deleted_service() -> None:
    store = Store()
    store.put_service(service(5))
    store.drop_service(service(7))
    assert not store.put_service(service(6))
    assert store.service(SHOP) is None
    again = service(8)
    again["metadata"]["uid"] = "newer"
    assert store.put_service(again)
    assert not store.put_service(service(6)), "nor does it take the place of the new one"
    live = store.service(SHOP)
    assert live is not None
    assert live.uid == "newer"


def test_after_an_unexpected_delete_the_service_must_be_verified() -> None:
    store = Store()
    store.put_service(service(1))
    store.put_child(CONFIG, config(5))
    (child,) = store.observed(SHOP).children.values()
    store.note_deleting(child)
    store.drop_child(child.key)
    assert not store.is_unverified(SHOP), "we deleted it ourselves"
    store.put_child(CONFIG, config(6))
    store.drop_child(child.key)
    assert store.is_unverified(SHOP)
    store.mark_verified(SHOP)
    assert not store.is_unverified(SHOP)


COPIED = {"labels": naming.labels("shop", Part.DATABASE), "uid": "u9", "resourceVersion": "9"}


@pytest.mark.parametrize(
    ("kind", "controller"),
    [
        (CONTROLLER_REVISION, "StatefulSet"),
        (owned_kind("batch", "Job"), "CronJob"),
        (owned_kind("autoscaling", "HorizontalPodAutoscaler"), "ScaledObject"),
        (owned_kind("", "PersistentVolumeClaim"), "StatefulSet"),
        (owned_kind("", "Secret"), "Cluster"),
        (owned_kind("", "Service"), "Cluster"),
    ],
)
def test_an_object_of_another_controller_is_not_ours_by_its_labels(
    kind: Kind, controller: str
) -> None:
    store = Store()
    reference = {"apiVersion": "x/v1", "kind": controller, "name": "shop-postgres", "uid": "u2"}
    metadata = {"name": "shop-postgres-75b9f5", "namespace": "default", **COPIED}
    body = {"metadata": {**metadata, "ownerReferences": [{**reference, "controller": True}]}}
    assert store.put_child(kind, body) is None
    assert store.observed(SHOP).children == {}


@pytest.mark.parametrize(
    "name", ["shop-postgres-75b9f5", "shop-945658798", "shop-release-x", "shop-release-01"]
)
def test_only_an_owned_revision_with_the_name_of_a_record_is_a_record(name: str) -> None:
    store = Store()
    metadata = {"name": name, "namespace": "default", **COPIED}
    body = {"metadata": {**metadata, "ownerReferences": [OWNER.reference]}, "revision": 7}
    store.put_service(service(1))
    store.put_child(CONTROLLER_REVISION, body)
    body["metadata"] = {**metadata, "name": "shop-release-7", "uid": "u10"}
    store.put_child(CONTROLLER_REVISION, body)
    assert store.observed(SHOP).release is None
    assert store.observed(SHOP).children == {}


def test_a_record_of_a_former_service_is_not_used() -> None:
    store = Store()
    store.put_service(service(1))
    former = replace(OWNER, uid="uid-former")
    body = release.to_body(ReleaseRecord({"image": "1"}, ("k1",), 4), former)
    body["metadata"] |= {"uid": "u4", "resourceVersion": "4"}
    store.put_child(CONTROLLER_REVISION, body)
    assert store.observed(SHOP).release is None


def test_the_newest_release_record_is_used() -> None:
    store = Store()
    store.put_service(service(1))
    for revision, version in ((2, 11), (1, 12)):
        record = ReleaseRecord({"image": str(revision)}, ("k1",), revision)
        body = release.to_body(record, OWNER)
        body["metadata"] |= {"uid": str(revision), "resourceVersion": str(version)}
        store.put_child(CONTROLLER_REVISION, body)
    assert store.observed(SHOP).release == ReleaseRecord({"image": "2"}, ("k1",), 2)


def test_the_releases_of_a_service_are_listed_oldest_first_without_those_of_others() -> None:
    records = [ReleaseRecord({"image": str(number)}, (), number) for number in (3, 1, 2)]
    bodies = [release.to_body(record, OWNER) for record in records]
    former = release.to_body(records[0], replace(OWNER, uid="uid-former"))
    other = {**bodies[0], "metadata": {**bodies[0]["metadata"], "name": "shop-postgres-3"}}
    found = release.records_of([*bodies, former, other], OWNER)
    assert [record.revision for record in found] == [1, 2, 3]


def test_a_workload_that_is_scaled_keeps_its_health_until_its_controller_observed_it() -> None:
    def deployment(version: int, *, generation: int, replicas: int, image: str) -> dict[str, Any]:
        body = config(version)
        fields = {"f:spec": {"f:template": {}}}
        entry = {"manager": naming.FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields}
        status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}
        return {
            "metadata": {**body["metadata"], "generation": generation, "managedFields": [entry]},
            "spec": {"replicas": replicas, "template": {"image": image}},
            "status": {**status, "availableReplicas": 2},
        }

    store = Store()
    store.put_child(DEPLOYMENT, deployment(1, generation=1, replicas=2, image="a"))
    key = object_key(DEPLOYMENT, deployment(1, generation=1, replicas=2, image="a"))
    store.put_child(DEPLOYMENT, deployment(2, generation=2, replicas=5, image="a"))
    found = store.child(key)
    assert found is not None
    assert found.health.reason == "RollingOut"
    store.put_child(DEPLOYMENT, deployment(3, generation=3, replicas=5, image="b"))
    found = store.child(key)
    assert found is not None
    assert found.health.reason == "Progressing"
    # Scaled again before the new version is observed.
    store.put_child(DEPLOYMENT, deployment(4, generation=4, replicas=6, image="b"))
    found = store.child(key)
    assert found is not None
    assert found.health.reason == "Progressing"
