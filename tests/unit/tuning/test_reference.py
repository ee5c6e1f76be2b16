from pathlib import Path

from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import EVERYTHING

ROOT = Path(__file__).resolve().parents[3]


def test_every_decision_has_its_place_in_the_tuning_document() -> None:
    plan = derive(EVERYTHING, Settings(), Facts())
    for decision in plan.decisions():
        document, _, anchor = decision.reference.partition("#")
        assert f'<a id="{anchor}"></a>' in (ROOT / document).read_text(), decision.name


def test_the_tuning_document_explains_nothing_that_is_not_decided() -> None:
    plan = derive(EVERYTHING, Settings(), Facts())
    names = {decision.reference.partition("#")[2] for decision in plan.decisions()}
    text = (ROOT / "docs/tuning.md").read_text()
    anchors = {part.partition('"')[0] for part in text.split('<a id="')[1:]}
    assert anchors == names
