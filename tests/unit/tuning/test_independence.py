"""A decision changes only if its inputs change.

Every field of the full sample is removed or changed, one at a time. If the inputs of a decision
stay the same, so must the decision. A decision whose inputs always change would not be tested.
"""

import functools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator.api.documents import read_documents
from fastapi_operator.api.parse import parse_service
from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.decision import Decision, Source
from fastapi_operator.tuning.derive import derive

SAMPLE = Path(__file__).resolve().parents[3] / "manifests" / "samples" / "full.yaml"
Body = dict[str, Any]


def changed(value: Any) -> Iterator[Any]:
    """Yields other values, each different in a single field; None removes the field."""
    yield None
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from ({**value, name: other} for other in changed(inner))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            others = (other for other in changed(inner) if other is not None)
            yield from ([*value[:index], other, *value[index + 1 :]] for other in others)


def decisions(body: Body) -> dict[str, Decision[Any]]:
    """Returns the derived decisions of a service; none of a service that is refused."""
    parsed, _ = parse_service(body)
    if parsed is None:
        return {}
    found = derive(parsed, Settings(), Facts()).decisions()
    return {item.name: item for item in found if item.source is Source.DERIVED}


def without_nulls(value: Any) -> Any:
    return json.loads(json.dumps(value), object_hook=_present)


def _present(pairs: Body) -> Body:
    return {name: value for name, value in pairs.items() if value is not None}


def sample() -> Body:
    (document,) = read_documents(SAMPLE.read_text())
    # Without the profile, which would decide in place of the formulas.
    spec = {name: value for name, value in document.body["spec"].items() if name != "profile"}
    return {**document.body, "spec": spec}


BEFORE = decisions(sample())


@functools.cache
def after() -> dict[str, list[Decision[Any]]]:
    """Returns each decision of the changed services whose inputs are unchanged."""
    found: dict[str, list[Decision[Any]]] = defaultdict(list)
    body = sample()
    for spec in changed(body["spec"]):
        for name, decision in decisions({**body, "spec": without_nulls(spec)}).items():
            if name in BEFORE and decision.inputs == BEFORE[name].inputs:
                found[name].append(decision)
    return found


@pytest.mark.parametrize("name", BEFORE)
def test_a_decision_changes_only_with_its_inputs(name: str) -> None:
    found = after()[name]
    assert len(found) > 20
    for decision in found:
        assert (decision.value, decision.reason) == (BEFORE[name].value, BEFORE[name].reason)
