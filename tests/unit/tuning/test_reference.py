from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.decision import Decision
from fastapi_operator.tuning.derive import derive
from tests.unit.services import EVERYTHING, service

ROOT = Path(__file__).resolve().parents[3]


def decisions() -> Iterator[Decision[Any]]:
    """Every decision that there is: granian and gunicorn have some that the other has not."""
    for everything in (EVERYTHING, service(server={"engine": "Gunicorn"})):
        yield from derive(everything, Settings(), Facts()).decisions()


def test_every_decision_has_its_place_in_the_tuning_document() -> None:
    for decision in decisions():
        document, _, anchor = decision.reference.partition("#")
        assert f'<a id="{anchor}"></a>' in (ROOT / document).read_text(), decision.name


def test_the_tuning_document_explains_nothing_that_is_not_decided() -> None:
    names = {decision.reference.partition("#")[2] for decision in decisions()}
    text = (ROOT / "docs/tuning.md").read_text()
    anchors = {part.partition('"')[0] for part in text.split('<a id="')[1:]}
    assert anchors == names
