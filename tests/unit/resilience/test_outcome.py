"""Which requests count as lost, and which are excused."""

from tests.resilience.client import BROKEN, Ending, Request
from tests.resilience.load import Answer
from tests.resilience.outcome import RECOVERY_SECONDS, Outcome
from tests.resilience.traffic import CACHED, LIST

_BEGAN, _ENDED = 100, 110


def _outcome(*answers: Answer, database_gone: bool = False, **counts: int) -> Outcome:
    return Outcome(
        name="a change",
        answers=answers,
        began=_BEGAN,
        ended=_ENDED,
        database_gone=database_gone,
        twice=counts.get("twice", 0),
        unaccounted=counts.get("unaccounted", 0),
        backends=6,
    )


def _answer(
    outcome: str, *, kind: str = LIST, at: float = _BEGAN + 1, retry_after: str = "1"
) -> Answer:
    ending = Ending(outcome, "no pod", retry_after=retry_after)
    return Answer(Request(kind, "GET", "/"), at, 0.02, False, ending, "", "kept; port 4000")


def test_a_request_without_a_response_is_reported_with_its_time() -> None:
    found = _outcome(_answer("200"), _answer("502"), _answer(BROKEN), _answer("404"))
    assert found.broken == ["3 requests lost"]
    assert "+1.00 s, after 0.02 s: GET / (kept; port 4000) 502 no pod" in found.report()
    assert not _outcome(_answer("200"), _answer("304")).broken


def test_without_a_database_only_its_requests_may_fail_and_only_for_a_while() -> None:
    assert not _outcome(_answer("503"), database_gone=True).broken
    assert _outcome(_answer("503"), database_gone=False).broken
    for lost in (
        _answer("503", kind=CACHED),
        _answer("503", retry_after=""),
        _answer("500"),
        _answer(BROKEN),
        _answer("503", at=_ENDED + RECOVERY_SECONDS + 0.1),
    ):
        assert _outcome(lost, database_gone=True).broken == ["1 requests lost"]


def test_writes_are_done_once_and_only_when_sent() -> None:
    assert _outcome(twice=1).broken == ["1 writes stored twice"]
    assert _outcome(unaccounted=2).broken
