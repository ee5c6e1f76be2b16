from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from fastapi_operator.api.crd import crd, object_schema, structural_schema


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}.*")


def test_every_field_has_a_description() -> None:
    missing = [
        path
        for path, node in nodes(object_schema())
        if "description" not in node
        and not path.endswith(("[]", ".*"))
        and not path.startswith(".metadata")
        and path
    ]
    assert missing == []


def test_every_field_of_the_spec_that_may_be_absent_states_its_default() -> None:
    spec = object_schema()["properties"]["spec"]
    required = {
        f"{path}.{name}" for path, node in nodes(spec, "spec") for name in node.get("required", ())
    }
    silent = [
        path
        for path, node in nodes(spec, "spec")
        if path != "spec"
        and not path.endswith(("[]", ".*"))
        and path not in required
        and "Default:" not in node["description"]
    ]
    assert silent == []


def test_the_only_default_is_a_generation_that_no_object_has() -> None:
    defaults = [
        (path, node["default"]) for path, node in nodes(object_schema()) if "default" in node
    ]
    assert defaults == [(".status", {"observedGeneration": -1})]


def test_unknown_fields_are_kept_in_pod_parts_alone() -> None:
    open_nodes = {
        path
        for path, node in nodes(object_schema())
        if "x-kubernetes-preserve-unknown-fields" in node
    }
    assert open_nodes == {
        ".spec.availability.affinity",
        ".spec.availability.tolerations[]",
        ".spec.background[].env[]",
        ".spec.containers[]",
        ".spec.env[]",
        ".spec.envFrom[]",
        ".spec.initContainers[]",
        ".spec.network.egressTo[]",
        ".spec.network.ingressFrom[]",
        ".spec.podTemplate",
        ".spec.postgres.cloudNativePG.backup",
        ".spec.schedules[].env[]",
        ".spec.volumeMounts[]",
        ".spec.volumes[]",
    }


def test_the_definition_stays_small() -> None:
    assert len(yaml.safe_dump(crd())) < 200 * 1024


def test_a_union_is_refused_when_the_schema_is_built() -> None:
    class Ambiguous(BaseModel):
        value: int | str

    with pytest.raises(ValueError, match=r"Ambiguous\.value: a union cannot be expressed"):
        structural_schema(Ambiguous)
