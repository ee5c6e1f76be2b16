import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator.facts import ROUTE_FIELDS, Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.decision import Decision
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.effects import Disruption
from fastapi_operator.tuning.number import Number
from fastapi_operator.tuning.registry import sections
from tests.unit.services import EVERYTHING, service

ROOT = Path(__file__).resolve().parents[3]
NUMBERS = {name: cases for _, numbers in sections() for name, cases in numbers.items()}
CASES = [
    pytest.param(number, id=f"{name} {number.case}") for name in NUMBERS for number in NUMBERS[name]
]

FACTS = Facts(route_fields=ROUTE_FIELDS)


def decisions() -> Iterator[Decision[Any]]:
    """Yields every decision; granian, gunicorn, HTTPRoutes and scaled workers have their own."""
    gateway = {"gateway": {"name": "public", "timeouts": {}, "retry": {}}}
    routed = service(exposure={"hosts": ["shop.example.com"], **gateway})
    mailer = {"name": "mailer", "command": ["mail"], "scaling": {"listName": "mail"}}
    scaled = service(queue={}, background=[mailer])
    for everything in (EVERYTHING, service(server={"engine": "Gunicorn"}), routed, scaled):
        yield from derive(everything, Settings(), FACTS).decisions()


def test_every_decision_has_its_place_in_the_reference() -> None:
    for decision in decisions():
        document, _, anchor = decision.reference.partition("#")
        assert f'<a id="{anchor}"></a>' in (ROOT / document).read_text(), decision.name


def test_every_declared_number_is_decided() -> None:
    assert {decision.number.name for decision in decisions()} == NUMBERS.keys()


def test_no_number_has_two_formulas_for_one_case() -> None:
    for name, cases in NUMBERS.items():
        assert len({number.case for number in cases}) == len(cases), name


@pytest.mark.parametrize("number", CASES)
def test_every_number_is_explained(number: Number) -> None:
    first, *_ = number.explanation.split("\n")
    assert first.endswith((".", "`"))
    assert "None" not in first


@pytest.mark.parametrize("number", CASES)
def test_a_number_that_is_tunable_needs_no_restart(number: Number) -> None:
    assert not number.tunable or number.effect.disruption is not Disruption.RESTART


def test_a_declaration_is_frozen() -> None:
    ((number, *_), *_) = NUMBERS.values()
    with pytest.raises(dataclasses.FrozenInstanceError):
        number.unit = "minutes"  # type: ignore[misc]
