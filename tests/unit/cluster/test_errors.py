"""The properties of the API server's errors."""

from fastapi_operator.cluster.errors import ApiError

_PATCH = "failed to create typed patch object (test/shop; apps/v1, Kind=Deployment): "


def test_each_of_several_untyped_fields_is_a_fault() -> None:
    message = (
        f"{_PATCH}errors:\n"
        '  .spec.template.spec.initContainers[name="A B"].unheardOf: field not declared in schema\n'
        "  .spec.template.spec.priority: expected numeric (int or float), got string\n"
    )
    error = ApiError(500, "InternalError", message)
    assert not error.temporary
    assert error.faults == (
        (
            'spec.template.spec.initContainers[name="A B"].unheardOf',
            "field not declared in schema",
        ),
        ("spec.template.spec.priority", "expected numeric (int or float)"),
    )


def test_a_single_untyped_field_is_a_fault() -> None:
    error = ApiError(500, "InternalError", f"{_PATCH}.spec.replicas: expected numeric, got string")
    assert error.faults == (("spec.replicas", "expected numeric"),)


def test_another_internal_error_is_temporary() -> None:
    assert ApiError(500, "InternalError", "etcdserver: request timed out").temporary
