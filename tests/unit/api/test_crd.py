import json
import re
from collections.abc import Iterator
from re import _constants as re_constants
from re import _parser as re_parser
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from fastapi_operator.api.crd import crd, object_schema, structural_schema
from fastapi_operator.api.model import section_of
from fastapi_operator.api.service import Spec


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


def test_every_optional_field_of_the_spec_states_its_default() -> None:
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


def test_the_only_default_is_an_impossible_generation() -> None:
    defaults = [
        (path, node["default"]) for path, node in nodes(object_schema()) if "default" in node
    ]
    assert defaults == [(".status", {"observedGeneration": -1})]


def test_only_parts_of_a_pod_keep_unknown_fields() -> None:
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
        ".spec.exposure.entries[].ingressFrom[]",
        ".spec.initContainers[]",
        ".spec.network.egressTo[]",
        ".spec.network.ingressFrom[]",
        ".spec.parts.*.tolerations[]",
        ".spec.podTemplate",
        ".spec.postgres.cloudNativePG.backup",
        ".spec.postgres.migrations.env[]",
        ".spec.postgres.migrations.volumeMounts[]",
        ".spec.postgres.migrations.volumes[]",
        ".spec.schedules[].env[]",
        ".spec.volumeMounts[]",
        ".spec.volumes[]",
    }


def spec_leaves() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, node in nodes(object_schema()["properties"]["spec"], "spec"):
        if "x-kubernetes-preserve-unknown-fields" not in node:
            yield path, node


def test_everything_in_the_spec_is_bounded() -> None:
    unbounded = [
        path
        for path, node in spec_leaves()
        if (node.get("type") == "string" and not {"maxLength", "enum"} & node.keys())
        or (node.get("type") == "array" and "maxItems" not in node)
        or (node.get("type") == "object" and not {"properties", "maxProperties"} & node.keys())
        or (node.get("type") == "integer" and not {"minimum", "maximum"} <= node.keys())
        or (
            node.get("x-kubernetes-int-or-string")
            and not {"minimum", "maximum", "pattern", "maxLength"} <= node.keys()
        )
    ]
    assert unbounded == []


def test_every_string_except_values_of_annotations_has_a_pattern() -> None:
    free = [
        path
        for path, node in spec_leaves()
        if node.get("type") == "string" and not {"pattern", "enum"} & node.keys()
    ]
    assert free == [
        "spec.exposure.ingress.annotations.*",
        "spec.exposure.loadBalancer.annotations.*",
        "spec.exposure.entries[].ingress.annotations.*",
        "spec.serviceAccount.annotations.*",
        "spec.parts.*.podAnnotations.*",
        "spec.parts.*.serviceAnnotations.*",
    ]


PATTERNS = sorted({node["pattern"] for _, node in nodes(object_schema()) if "pattern" in node})


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_portable(pattern: str) -> None:
    """The API server uses RE2, the command line Rust's regex, and some code Python's."""
    assert pattern.startswith("^")
    assert pattern.endswith("$")
    assert not re.search(r"\\[dDwWsSbBAzZpPQEkKRX]|[(][?]|[*+?}][+?]", pattern), "not portable"
    whole = re_parser.parse(pattern)
    assert all(operator is not re_constants.BRANCH for operator, _ in whole), "| outside a group"


def leaves(model: type[BaseModel], path: str = "spec") -> Iterator[tuple[str, FieldInfo]]:
    """Yields every field of a model that is not a section or a list of sections."""
    for name, field in model.model_fields.items():
        here = f"{path}.{field.alias or name}"
        section = section_of(field.annotation)
        if section is None:
            yield here, field
        else:
            yield from leaves(section, here)


LEAVES = dict(leaves(Spec))


def accepts(field: FieldInfo, value: Any) -> bool:
    kind = TypeAdapter(Annotated[(field.annotation, Field(), *field.metadata)])  # type: ignore[misc]
    try:
        kind.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


def test_every_leaf_of_the_spec_has_an_example() -> None:
    assert [path for path, field in LEAVES.items() if not field.examples] == []


@pytest.mark.parametrize("path", LEAVES)
def test_an_example_is_valid(path: str) -> None:
    for example in LEAVES[path].examples or ():
        assert accepts(LEAVES[path], example)


# Characters that are permitted, since the templates quote the value or no template uses it.
FREE_TEXT = {
    **{
        path: ";\"'`{}$\\#\u2028\u0661"
        for path in LEAVES
        if path.endswith(("command", "args", "extraArgs", "livenessCommand"))
    },
    "spec.proxy.headers.add.value": ";'",
}


def texts() -> Iterator[tuple[str, str]]:
    """Yields each string field, or list of strings, with a valid value."""
    for path, field in LEAVES.items():
        for example in (field.examples or ())[:1]:
            text = example[0] if isinstance(example, list) else example
            choice = Literal in map(get_origin, get_args(field.annotation))
            if isinstance(text, str) and not choice:
                yield path, text


@pytest.mark.parametrize(("path", "text"), list(texts()))
def test_no_string_of_the_spec_can_escape_from_a_template(path: str, text: str) -> None:
    """A final newline is important: $ in Python matches before it, $ in RE2 does not."""
    is_list = isinstance((LEAVES[path].examples or ())[0], list)
    for character in ";\"'`{}$\\#\n\r\t\x00\u2028\u0661":
        for poisoned in (text + character, character + text, text[:1] + character + "x"):
            accepted = accepts(LEAVES[path], [poisoned] if is_list else poisoned)
            assert accepted == (character in FREE_TEXT.get(path, "")), repr(poisoned)


def test_every_description_is_a_sentence() -> None:
    poor = [
        path
        for path, node in nodes(object_schema())
        if "description" in node
        and path not in (".apiVersion", ".kind")
        and not re.fullmatch(r"[A-Z0-9].{10,}[.]", node["description"])
    ]
    assert poor == []


def test_a_description_repeats_the_unit_in_the_name() -> None:
    silent = [
        path
        for path, node in spec_leaves()
        for suffix, word in (("Seconds", "econds"), ("Milliseconds", "illiseconds"))
        if path.rpartition(".")[2].endswith(suffix) and word not in node["description"]
    ]
    assert silent == []


def test_every_description_of_a_quantity_has_its_unit() -> None:
    silent = [
        path
        for path, node in spec_leaves()
        if node.get("maxLength") == 32 and not re.search(r"in (bytes|cores)", node["description"])
    ]
    assert silent == []


def test_the_definition_stays_small() -> None:
    assert len(yaml.safe_dump(crd())) < 200 * 1024


def test_a_union_is_refused_when_the_schema_is_built() -> None:
    class Ambiguous(BaseModel):
        value: int | str

    with pytest.raises(ValueError, match=r"Ambiguous\.value: a union cannot be expressed"):
        structural_schema(Ambiguous)
