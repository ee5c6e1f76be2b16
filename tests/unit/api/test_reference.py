"""The reference page and the schema for editors have exactly the content of the models."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator.api.reference import editor_schema, sections
from fastapi_operator.api.rules import RULES
from fastapi_operator.api.service import Spec
from fastapi_operator.api.status import Status
from tests.corpus.cases import CASES, Case

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/reference/api.md").read_text()


def table(path: str) -> dict[str, list[str]]:
    """Returns the rows of a section's table, by field."""
    text = PAGE.split(f" `{path}`\n", 1)[1]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", text.split("\n#", 1)[0], re.MULTILINE)
    return {name: re.split(r"(?<!\\) \| ", rest) for name, rest in rows}


@pytest.mark.parametrize(
    "section",
    [*sections(Spec, "spec"), *sections(Status, "status")],
    ids=lambda section: section.path,
)
def test_every_field_has_a_row_with_type_default_meaning_and_example(section: Any) -> None:
    rows = table(section.path)

    assert list(rows) == list(section.schema["properties"])
    for name, (kind, default, meaning, example) in rows.items():
        assert kind not in ("", "value"), name
        assert meaning.endswith((".", ")")), name
        if section.path.startswith("spec"):
            assert default, name
            assert example or "[section]" in kind, name


def test_every_rule_is_below_the_table_of_its_section() -> None:
    for rule in RULES:
        # A section that several fields share has one table, below the path of its first field.
        paths = [
            other.path
            for other in RULES
            if (other.field, other.message) == (rule.field, rule.message)
        ]
        path = next(path for path in paths if f" `{path}`\n" in PAGE)
        text = PAGE.split(f" `{path}`\n", 1)[1].split("\n#", 1)[0]
        assert f"- `{rule.field}`: {rule.message}." in text


def test_every_link_within_the_page_has_a_target() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", text.lower()).replace(" ", "-") for text in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


def test_every_section_of_the_spec_has_a_complete_example() -> None:
    tops = {
        section.path.removesuffix("[]")
        for section in sections(Spec, "spec")
        if section.path.count(".") == 1
    }
    for path in tops - {"spec.imagePullSecrets"}:
        text = re.split(rf" `{path}(?:\[\])?`\n", PAGE)[1].split("\n## ", 1)[0]
        assert "kind: FastAPIService" in text.split("\n### ", 1)[0], path


KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}


def fits(value: Any, node: dict[str, Any]) -> bool:
    """Whether a value is valid by the keywords of JSON Schema that the schema uses."""
    kind = KINDS.get(node.get("type", ""), object)
    return (
        isinstance(value, kind)
        and (kind is not int or not isinstance(value, bool))
        and value == node.get("const", value)
        and value in node.get("enum", (value,))
        and ("anyOf" not in node or any(fits(value, arm) for arm in node["anyOf"]))
        and all(_within(value, node))
    )


def _within(value: Any, node: dict[str, Any]) -> Iterator[bool]:
    match value:
        case dict():
            known, other = node.get("properties", {}), node.get("additionalProperties", {})
            yield set(node.get("required", ())) <= value.keys()
            for name, item in value.items():
                yield name in known or other is not False
                yield fits(item, known.get(name, other or {}))
        case list():
            yield node.get("minItems", 0) <= len(value) <= node.get("maxItems", len(value))
            if node.get("uniqueItems"):
                yield len(set(value)) == len(value)
            yield from (fits(item, node.get("items", {})) for item in value)
        case str():
            yield node.get("minLength", 0) <= len(value) <= node.get("maxLength", len(value))
            yield bool(re.search(node.get("pattern", "").replace("$", r"\Z"), value))
        case int():
            yield node.get("minimum", value) <= value <= node.get("maximum", value)


@functools.cache
def schema() -> dict[str, Any]:
    """The schema, built once for all cases."""
    return editor_schema()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_schema_for_editors_refuses_what_the_api_server_refuses(case: Case) -> None:
    # The schema does not restrict the keys of maps, and JSON Schema cannot compare those of items.
    keys = ("an annotation's name", "a label's name", "a node's label without", " twice by")
    keys = (*keys, "a name with a hyphen", "an unknown part")
    if case.stage == "schema" and not any(word in case.name for word in keys):
        assert not fits(case.body, schema())
    elif "null" not in case.name:
        assert fits(case.body, schema())


def test_the_schema_for_editors_is_the_committed_one_and_is_closed() -> None:
    committed = json.loads((ROOT / "docs/reference/fastapiservice.schema.json").read_text())
    assert committed == editor_schema()
    assert committed["additionalProperties"] is False
    assert committed["properties"]["spec"]["additionalProperties"] is False
