"""FieldsV1: the owned fields of a live object."""

import copy
from typing import Any

from fastapi_operator.reconcile.observe import projection

# As an API server 1.35 wrote it after a server-side apply.
FIELDS: dict[str, Any] = {
    "f:metadata": {
        "f:labels": {"f:app": {}},
        "f:ownerReferences": {'k:{"uid":"u1"}': {}},
        "f:finalizers": {".": {}, 'v:"keep"': {}},
    },
    "f:spec": {
        "f:replicas": {},
        "f:command": {},
        "f:template": {
            "f:containers": {
                'k:{"name":"app"}': {
                    ".": {},
                    "f:name": {},
                    "f:image": {},
                    "f:ports": {
                        'k:{"containerPort":8000,"protocol":"TCP"}': {
                            ".": {},
                            "f:containerPort": {},
                        }
                    },
                    "f:resources": {"f:requests": {"f:cpu": {}}},
                }
            },
            "f:volumes": {'k:{"name":"tmp"}': {".": {}, "f:name": {}, "f:emptyDir": {}}},
        },
    },
}


def live() -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "shop",
            "labels": {"app": "shop", "theirs": "1"},
            "finalizers": ["other", "keep"],
            "ownerReferences": [{"uid": "u0"}, {"uid": "u1", "controller": True}],
            "managedFields": [
                {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:x": {}}}},
                {"manager": "fastapi-operator", "operation": "Apply", "fieldsV1": FIELDS},
                {
                    "manager": "fastapi-operator",
                    "operation": "Apply",
                    "subresource": "status",
                    "fieldsV1": {"f:status": {}},
                },
                {
                    "manager": "kube-controller-manager",
                    "operation": "Update",
                    "subresource": "scale",
                    "fieldsV1": {"f:spec": {"f:replicas": {}}},
                },
            ],
        },
        "spec": {
            "replicas": 2,
            "command": ["a", "b"],
            "strategy": {"type": "RollingUpdate"},
            "template": {
                "containers": [
                    {"name": "sidecar", "image": "x"},
                    {
                        "name": "app",
                        "image": "shop:1",
                        "ports": [{"containerPort": 8000, "protocol": "TCP"}],
                        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
                        "terminationMessagePath": "/dev/termination-log",
                    },
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
        },
        "status": {"replicas": 2},
    }


def wanted() -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "shop",
            "labels": {"app": "shop"},
            "ownerReferences": [{"uid": "u1", "controller": True}],
        },
        "spec": {
            "replicas": 2,
            "command": ["a", "b"],
            "template": {
                "containers": [
                    {
                        "name": "app",
                        "image": "shop:1",
                        "ports": [{"containerPort": 8000}],
                        "resources": {"requests": {"cpu": "1000m"}},
                    }
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
        },
    }


def test_only_the_apply_entry_of_the_operator_is_used() -> None:
    assert projection.own_fields(live()) == FIELDS
    body = live()
    del body["metadata"]["managedFields"][1]
    assert projection.own_fields(body) is None
    assert projection.live_digest(body) == ""


def test_the_projection_has_only_owned_fields() -> None:
    ours = projection.project(live(), FIELDS)
    assert ours["metadata"]["labels"] == {"app": "shop"}
    assert ours["metadata"]["finalizers"] == {'v:"keep"': "keep"}
    assert ours["metadata"]["ownerReferences"] == {
        'k:{"uid":"u1"}': {"uid": "u1", "controller": True}
    }
    assert "strategy" not in ours["spec"]
    (container,) = ours["spec"]["template"]["containers"].values()
    assert container["image"] == "shop:1"
    assert container["resources"] == {"requests": {"cpu": "1"}}
    assert ours["spec"]["command"] == ["a", "b"]


def test_positions_of_elements() -> None:
    assert projection.project({"a": [1, 2]}, {"f:a": {"i:1": {}, "i:7": {}}}) == {"a": {"i:1": 2}}


def digest_after(change: Any) -> bool:
    """Whether the digest stays when ``change`` edits the object."""
    body = live()
    change(body)
    return projection.live_digest(body) == projection.live_digest(live())


def test_the_digest_ignores_fields_of_other_managers() -> None:
    assert digest_after(lambda body: body["status"].update(replicas=5))
    assert digest_after(lambda body: body["metadata"]["labels"].update(theirs="2"))
    assert digest_after(lambda body: body["spec"]["template"]["containers"].reverse())
    assert digest_after(lambda body: body["spec"].update(replicas=9))
    assert digest_after(lambda body: body["spec"].pop("strategy"))


def test_the_digest_changes_with_every_owned_field() -> None:
    def taken(body: dict[str, Any]) -> None:
        entry = body["metadata"]["managedFields"][1]
        entry["fieldsV1"] = copy.deepcopy(FIELDS)
        del entry["fieldsV1"]["f:metadata"]["f:labels"]

    assert not digest_after(lambda body: body["metadata"]["labels"].update(app="other"))
    assert not digest_after(lambda body: body["metadata"]["labels"].pop("app"))
    assert not digest_after(lambda body: body["spec"].update(command=["a"]))
    assert not digest_after(lambda body: body["metadata"].update(finalizers=["other"]))
    assert not digest_after(lambda body: body["spec"]["template"]["volumes"].clear())
    assert not digest_after(taken)


def test_a_body_with_only_owned_fields_is_covered() -> None:
    assert projection.covers(projection.owned_paths(live()), wanted())


def uncovered(change: Any) -> bool:
    """Whether a body that ``change`` edits is no longer covered."""
    body = wanted()
    change(body)
    return not projection.covers(projection.owned_paths(live()), body)


def test_a_body_with_another_field_is_not_covered() -> None:
    assert uncovered(lambda body: body["metadata"]["labels"].update(theirs="1"))
    assert uncovered(lambda body: body["metadata"].update(annotations={"a": "b"}))
    assert uncovered(lambda body: body["spec"].update(strategy={"type": "Recreate"}))
    assert uncovered(lambda body: body["spec"]["template"]["containers"].append({"name": "new"}))
    assert uncovered(
        lambda body: body["spec"]["template"]["containers"][0]["resources"]["requests"].update(
            memory="1Gi"
        )
    )


def test_a_body_with_a_field_of_another_manager_is_not_covered() -> None:
    body = live()
    entry = body["metadata"]["managedFields"][1]
    entry["fieldsV1"] = copy.deepcopy(FIELDS)
    del entry["fieldsV1"]["f:spec"]["f:template"]["f:containers"]['k:{"name":"app"}']["f:image"]
    assert not projection.covers(projection.owned_paths(body), wanted())


def test_keys_are_compared_by_value_and_not_as_text() -> None:
    body = {**live(), "data": [{"name": "<a>"}]}
    body["metadata"]["managedFields"][1]["fieldsV1"] = {
        "f:data": {'k:{"name":"\\u003ca\\u003e"}': {"f:name": {}}}
    }
    covered = {"metadata": {}, "data": [{"name": "<a>"}]}
    assert projection.covers(projection.owned_paths(body), covered)


def test_a_field_that_admission_changed_is_found_by_its_value() -> None:
    body = live()
    (_, app) = body["spec"]["template"]["containers"]
    app["image"] = "mirror/shop:1"
    app["resources"]["requests"]["cpu"] = "2"
    body["spec"]["command"] = ["a", "c"]
    found = projection.find_uncovered(projection.owned_paths(body), wanted())
    assert list(found) == [
        "spec.command",
        "spec.template.containers[app].image",
        "spec.template.containers[app].resources.requests.cpu",
    ]


def test_empty_values_and_other_forms_of_quantities_are_equal() -> None:
    body = live()
    del body["spec"]["command"]
    same = wanted()
    same["spec"]["command"] = []
    same["spec"]["template"]["containers"][0]["resources"]["requests"]["cpu"] = 1.0
    assert list(projection.find_uncovered(projection.owned_paths(body), same)) == []


def test_owners_of_a_field() -> None:
    assert projection.owners_of(live(), "spec", "replicas") == {
        "fastapi-operator",
        "kube-controller-manager",
    }
