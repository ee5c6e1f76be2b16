from fastapi_operator.resources.overrides import merged

TEMPLATE = {
    "spec": {
        "containers": [
            {
                "name": "app",
                "image": "shop:1",
                "env": [{"name": "A", "value": "1"}],
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            },
            {"name": "auth", "image": "auth:1"},
        ],
        "tolerations": [{"key": "old"}],
    }
}


def test_a_container_is_merged_by_name_and_keeps_its_other_fields() -> None:
    patch = {"spec": {"containers": [{"name": "app", "workingDir": "/srv"}]}}
    app, auth = merged(TEMPLATE, patch)["spec"]["containers"]
    assert app == {**TEMPLATE["spec"]["containers"][0], "workingDir": "/srv"}
    assert auth == {"name": "auth", "image": "auth:1"}


def test_lists_with_a_key_are_merged_at_every_depth() -> None:
    patch = {
        "spec": {
            "containers": [
                {
                    "name": "app",
                    "env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ]
        }
    }
    app = merged(TEMPLATE, patch)["spec"]["containers"][0]
    assert app["env"] == [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]
    assert [mount["mountPath"] for mount in app["volumeMounts"]] == ["/tmp", "/data"]


def test_lists_without_a_key_are_replaced() -> None:
    patch = {"spec": {"tolerations": [{"key": "new"}]}}
    assert merged(TEMPLATE, patch)["spec"]["tolerations"] == [{"key": "new"}]


def test_neither_argument_is_modified() -> None:
    before = repr(TEMPLATE)
    merged(TEMPLATE, {"spec": {"containers": [{"name": "app", "tty": True}]}})
    assert repr(TEMPLATE) == before
