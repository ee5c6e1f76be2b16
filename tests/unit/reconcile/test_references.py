"""What pods read, and the stamp that a change of it changes."""

from typing import Any

from fastapi_operator.cluster.kinds import CONFIG_MAP, SECRET
from fastapi_operator.reconcile.observe.identity import Key
from fastapi_operator.reconcile.observe.references import references, stamp, stamp_of, values_of
from fastapi_operator.reconcile.observe.values import ValueIndex
from fastapi_operator.reconcile.plan.owned_object import completed, seal, unwatched
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
    assert references(workload(**pod).body) == {
        KEYS: frozenset({"seed", "token"}),
        ObjectKey("", "ConfigMap", OWNER.namespace, "flags"): None,
    }


def test_mounted_files_count_unless_a_sidecar_reloads_them() -> None:
    volumes = [
        {"name": "tls", "secret": {"secretName": "keys"}},
        {
            "name": "conf",
            "projected": {"sources": [{"secret": {"name": "users", "items": [{"key": "acl"}]}}]},
        },
    ]
    plain = references(workload(volumes=volumes).body)
    users = ObjectKey("", "Secret", OWNER.namespace, "users")
    assert plain == {KEYS: None, users: frozenset({"acl"})}
    sidecar = {"name": "reload", "volumeMounts": [{"name": "conf", "mountPath": "/etc/conf"}]}
    assert references(workload(volumes=volumes, initContainers=[sidecar]).body) == {KEYS: None}


def test_only_a_key_that_is_read_changes_the_stamp() -> None:
    read = references(workload(containers=[reads("keys", "token")]).body)
    first = stamp(read, {KEYS: values_of(secret(token="1", other="1"))}, None)
    assert stamp(read, {KEYS: values_of(secret(token="1", other="2"))}, first) == first
    assert stamp(read, {KEYS: values_of(secret(token="2", other="1"))}, first) != first


def test_what_is_gone_keeps_its_stamp_and_what_was_never_seen_has_none() -> None:
    read = references(workload(containers=[reads("keys", "token")]).body)
    assert stamp(read, {}, {"Secret/keys": "abc"}) == {"Secret/keys": "abc"}
    assert stamp(read, {}, {}) == {}


def test_equal_values_of_two_objects_have_different_hashes() -> None:
    first, second = values_of(secret(uid="u1", a="1")), values_of(secret(uid="u2", a="1"))
    assert first.hashes != second.hashes
    assert "1" not in first.hashes.values()


def test_the_body_that_is_sent_carries_the_stamp_beside_the_template_s_own_metadata() -> None:
    sealed = seal(workload(containers=[reads("keys", "token")]), OWNER)
    values = {KEYS: values_of(secret(token="1"))}
    body = completed(sealed, None, values)
    assert body["spec"]["template"]["metadata"]["labels"] == {"a": "b"}
    assert stamp_of(body) == stamp(sealed.references, values, None)
    assert stamp_of(sealed.body) == {}


def test_a_stamp_that_somebody_wrote_is_no_stamp_of_ours() -> None:
    annotations = {"fastapi-operator.io/references": "hello"}
    assert stamp_of({"spec": {"template": {"metadata": {"annotations": annotations}}}}) == {
        "": "hello"
    }


def test_the_readers_of_a_changed_value_are_told_and_of_an_old_event_not() -> None:
    index, shop = ValueIndex(), Key("default", "shop")
    index.note_reader(shop, frozenset({KEYS}))
    assert index.put(SECRET, secret(5, token="1")) == {shop}
    assert index.put(SECRET, secret(4, token="0")) == frozenset()
    assert index.put(SECRET, secret(6, token="1")) == frozenset()
    assert index.put(SECRET, secret(7, token="2")) == {shop}
    index.note_reader(shop, frozenset())
    assert index.put(SECRET, secret(8, token="3")) == frozenset()


def test_values_that_nobody_reads_are_forgotten_with_their_object() -> None:
    index, shop = ValueIndex(), Key("default", "shop")
    index.put(SECRET, secret(5, token="1"))
    index.note_reader(shop, frozenset({KEYS}))
    index.missing_from(SECRET, None, set(), 9)
    assert KEYS in index.known
    index.note_reader(shop, frozenset())
    index.missing_from(SECRET, None, set(), 9)
    assert KEYS not in index.known


def test_our_own_config_maps_are_no_values() -> None:
    index = ValueIndex()
    body = secret(a="1")
    body["metadata"]["labels"] = {"fastapi-operator.io/service": "shop"}
    index.put(CONFIG_MAP, body)
    assert not index.known


def test_an_unwatched_object_of_the_user_is_a_warning_with_its_remedy() -> None:
    sealed = (seal(workload(containers=[reads("keys", "token")]), OWNER),)
    (problem,) = unwatched(sealed, {})
    assert "Secret keys" in problem.message
    assert problem.remedy == "kubectl label secret keys fastapi-operator.io/watched=true"
    assert unwatched(sealed, {KEYS: values_of(secret())}) == ()
