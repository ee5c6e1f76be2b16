"""Each rule refuses something that the schema and every other rule of its section accept."""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from fastapi_operator.api.cel import holds
from fastapi_operator.api.crd import structural_schema
from fastapi_operator.api.model import fields_of, section_of
from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.rules import RULES, Rule
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Stage
from tests.corpus.cases import CASES
from tests.unit.services import body

# mode, secretRef and maxConnections make an external database valid; one more field breaks it.
_MOST_FIELDS = 4
_LITERAL = r"self\.{field} [!=]= (?:'([^']*)'|([0-9]+))"


@pytest.mark.parametrize("path", sorted({rule.path for rule in RULES}))
def test_no_rule_refuses_only_what_other_rules_of_its_section_refuse(path: str) -> None:
    rules = [rule for rule in RULES if rule.path == path]
    refused_alone: dict[Rule, dict[str, Any]] = {}
    for section in itertools.chain(_sections_of_corpus(path), _sections(path, rules)):
        broken = [rule for rule in rules if not holds(rule, section)]
        if len(broken) == 1 and broken[0] not in refused_alone:
            refused_alone[broken[0]] = section

    assert [rule.message for rule in rules if rule not in refused_alone] == []
    for rule, section in refused_alone.items():
        problems = parse_service(body(_with_section(path, section)))[1]
        assert {problem.stage for problem in problems} == {Stage.RULE}, section
        assert rule.message in {problem.message for problem in problems}


def test_no_two_rules_of_a_section_have_the_same_message() -> None:
    messages = [(rule.path, rule.message) for rule in RULES]
    assert len(set(messages)) == len(messages)


def _sections(path: str, rules: list[Rule]) -> Iterator[dict[str, Any]]:
    """Valid and invalid sections: up to four of the fields that the rules read, with each value."""
    model, node = _section_at(path)
    expressions = " ".join(rule.expression for rule in rules)
    values = {
        name: list(_values(field, node["properties"][name], _literals(name, expressions)))
        for name, field in fields_of(model)
        if re.search(rf"\bself\.{name}\b", expressions)
    }
    for count in range(1, _MOST_FIELDS + 1):
        for names in itertools.combinations(values, count):
            for chosen in itertools.product(*(values[name] for name in names)):
                yield _required(model, node) | dict(zip(names, chosen, strict=True))


def _sections_of_corpus(path: str) -> Iterator[dict[str, Any]]:
    """Sections of services that a rule refuses: some rules read fields of several levels."""
    for case in CASES:
        section = case.body["spec"] if case.stage == "rule" else None
        for name in path.split(".")[1:]:
            section = section.get(name) if isinstance(section, dict) else None
        if isinstance(section, dict):
            yield section


def _literals(field: str, expressions: str) -> list[str | int]:
    """Values that the rules compare a field with."""
    found = re.findall(_LITERAL.format(field=field), expressions)
    return sorted({text or int(number) for text, number in found}, key=str)


def _values(field: Any, node: Mapping[str, Any], literals: list[Any]) -> Iterator[Any]:
    section = section_of(field.annotation)
    match node:
        case {"enum": choices}:
            yield from choices
        case {"type": "boolean"}:
            yield from (True, False)
        case {"type": "array", "items": item} if section is not None:
            smallest = _required(section, item)
            yield [smallest]
            yield [smallest, smallest]
            yield [smallest | {"name": "shared"}] if "name" in smallest else [smallest]
        case {"type": "object"} if section is not None:
            yield _required(section, node)
            yield {name: inner.examples[0] for name, inner in fields_of(section) if inner.examples}
        case {"type": "integer", "minimum": least, "maximum": most}:
            yield from {least, most, field.examples[0]}
        case _:
            yield from [field.examples[0], *literals]


def _required(model: Any, node: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest section: its required fields alone."""
    required = node.get("required", ())
    return {
        name: next(_values(field, node["properties"][name], []))
        for name, field in fields_of(model)
        if name in required
    }


def _section_at(path: str) -> tuple[Any, dict[str, Any]]:
    model: Any = Spec
    node = structural_schema(Spec)
    for name in path.replace("[]", "").split(".")[1:]:
        model = section_of(dict(fields_of(model))[name].annotation)
        node = node["properties"][name]
        node = node.get("items", node)
    return model, node


def _with_section(path: str, section: Any) -> dict[str, Any]:
    """The smallest spec that has a section."""
    while path != "spec":
        above, _, name = path.rpartition(".")
        if name.endswith("[]"):
            section = [_required(*_section_at(path)) | section]
        section, path = {name.removesuffix("[]"): section}, above
    image = {"image": "registry.example.com/shop:1"}
    spec: dict[str, Any] = image | section
    return spec
