"""The values that pods read, and their stamp."""

from typing import Any

from fastapi_operator.cluster.kinds import CONFIG_MAP, SECRET
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.references import (
    compute_stamp,
    find_references,
    hash_values,
    read_stamp,
)
from fastapi_operator.reconcile.observe.values import ValueIndex
from fastapi_operator.reconcile.plan.owned_object import complete_body, find_unwatched, make_owned
from fastapi_operator.resources.desired import Desired, ObjectKey
from tests.unit.reconcile.worlds import OWNER, desired

KEYS = ObjectKey("", "Secret", OWNER.namespace, "keys")


def workload(**pod: Any) -> Desired:
    pod.setdefault("containers", [])
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    return desired("Deployment", "shop", body={"spec": {"template": template}})


def reads(name: str, key: str) -> dict[str, Any]:
    source = {"secretKeyRef": {"name": name, "key": key}}
    return {"name": "app", "env": [{"name": key.upper(), "valueFrom": source}]}


def secret(version: int = 1, uid: str = "u1", **data: str) -> dict[str, Any]:
    metadata = {
        "name": "keys",
        "namespace": OWNER.namespace,
        "uid": uid,
        "resourceVersion": str(version),
    }
    return {"metadata": metadata, "data": data}


def test_keys_are_read_by_variables_and_whole_objects_by_env_from() -> None:
    pod = {
        "initContainers": [reads("keys", "seed")],
        "containers": [
            {**reads("keys", "token"), "envFrom": [{"configMapRef": {"name": "flags"}}]},
        ],
    }
    assert find_references(workload(**pod).body) == {
        KEYS: frozenset({"seed", "token"}),
        ObjectKey("", "ConfigMap", OWNER.namespace, "flags"): None,
    }


def test_mounted_files_are_references_unless_a_sidecar_reloads_them() -> None:
    volumes = [
        {"name": "tls", "secret": {"secretName": "keys"}},
        {
            "name": "conf",
            "projected": {"sources": [{"secret": {"name": "users", "items": [{"key": "acl"}]}}]},
        },
    ]
    plain = find_references(workload(volumes=volumes).body)
    users = ObjectKey("", "Secret", OWNER.namespace, "users")
    assert plain == {KEYS: None, users: frozenset({"acl"})}
    sidecar = {"name": "reload", "volumeMounts": [{"name": "conf", "mountPath": "/etc/conf"}]}
    assert find_references(workload(volumes=volumes, initContainers=[sidecar]).body) == {KEYS: None}


def test_only_a_key_that_is_read_changes_the_stamp() -> None:
    read = find_references(workload(containers=[reads("keys", "token")]).body)
    first = compute_stamp(read, {KEYS: hash_values(secret(token="1", other="1"))}, None)
    assert compute_stamp(read, {KEYS: hash_values(secret(token="1", other="2"))}, first) == first
    assert compute_stamp(read, {KEYS: hash_values(secret(token="2", other="1"))}, first) != first


def test_a_deleted_object_keeps_its_stamp_and_an_unknown_one_has_none() -> None:
    read = find_references(workload(containers=[reads("keys", "token")]).body)
    assert compute_stamp(read, {}, {"Secret/keys": "abc"}) == {"Secret/keys": "abc"}
    assert compute_stamp(read, {}, {}) == {}


def test_equal_values_of_two_objects_have_different_hashes() -> None:
    first, second = hash_values(secret(uid="u1", a="1")), hash_values(secret(uid="u2", a="1"))
    assert first.hashes != second.hashes
    assert "1" not in first.hashes.values()


def test_the_applied_body_has_the_stamp_and_the_metadata_of_the_template() -> None:
    owned = make_owned(workload(containers=[reads("keys", "token")]), OWNER)
    values = {KEYS: hash_values(secret(token="1"))}
    body = complete_body(owned, None, values)
    assert body["spec"]["template"]["metadata"]["labels"] == {"a": "b"}
    assert read_stamp(body) == compute_stamp(owned.references, values, None)
    assert read_stamp(owned.body) == {}


def test_an_edited_stamp_differs_from_any_valid_stamp() -> None:
    annotations = {"fastapi-operator.io/references": "hello"}
    assert read_stamp({"spec": {"template": {"metadata": {"annotations": annotations}}}}) == {
        "": "hello"
    }


def test_readers_are_returned_for_a_changed_value_but_not_for_an_old_event() -> None:
    index, shop = ValueIndex(), ServiceKey("default", "shop")
    index.note_reader(shop, frozenset({KEYS}))
    assert index.put(SECRET, secret(5, token="1")) == {shop}
    assert index.put(SECRET, secret(4, token="0")) == frozenset()
    assert index.put(SECRET, secret(6, token="1")) == frozenset()
    assert index.put(SECRET, secret(7, token="2")) == {shop}
    index.note_reader(shop, frozenset())
    assert index.put(SECRET, secret(8, token="3")) == frozenset()


def test_values_without_readers_are_dropped_with_their_object() -> None:
    index, shop = ValueIndex(), ServiceKey("default", "shop")
    index.put(SECRET, secret(5, token="1"))
    index.note_reader(shop, frozenset({KEYS}))
    index.missing_from(SECRET, None, set(), 9)
    assert KEYS in index.known
    index.note_reader(shop, frozenset())
    index.missing_from(SECRET, None, set(), 9)
    assert KEYS not in index.known


def test_owned_config_maps_are_ignored() -> None:
    index = ValueIndex()
    body = secret(a="1")
    body["metadata"]["labels"] = {"fastapi-operator.io/service": "shop"}
    body["metadata"]["name"] = "shop-keys"
    index.put(CONFIG_MAP, body)
    assert not index.known


def test_an_unwatched_object_of_the_user_causes_a_warning_with_its_remedy() -> None:
    owned = (make_owned(workload(containers=[reads("keys", "token")]), OWNER),)
    (problem,) = find_unwatched(owned, frozenset())
    # No watch reports it, so it may also be missing; the label command alone would then fail.
    assert "Secret keys does not exist or is not watched" in problem.message
    assert problem.remedy == (
        "create it if it is missing, and run: "
        f"kubectl label secret keys -n {KEYS.namespace} fastapi-operator.io/watched=true"
    )
    assert find_unwatched(owned, frozenset({KEYS})) == ()
