"""Records of canaries: those that a person or another version of the operator wrote."""

import json
from dataclasses import replace
from typing import Any

import pytest

from fastapi_operator.cluster.metrics_reader import PodPage
from fastapi_operator.judge.ledger import Ledger
from fastapi_operator.judge.reading import DURATIONS
from fastapi_operator.judge.verdict import Limits
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.loop.canary_looks import record_pages
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, Look, Phase
from fastapi_operator.reconcile.plan.canary_course import Course
from fastapi_operator.tuning.canary import Divider

RECORD = CanaryRecord("t", "s", "3f9a01bc", "shop:2", Phase.PROGRESSING, since=0, step=1)
COURSE = Course(
    steps=(5, 50),
    step_seconds=60,
    max_wait_seconds=600,
    limits=Limits(min_requests=100),
    max_pods=5,
    deadline_seconds=300,
)
PAGE = PodPage("shop-proxy-1", Part.PROXY, "", 60.0, 0, text="")


def test_a_record_is_parsed_from_its_text() -> None:
    assert CanaryRecord.parse(RECORD.text) == RECORD


@pytest.mark.parametrize(
    "change",
    [
        {"id": '"; }'},
        {"id": ""},
        {"step": -1},
        {"pods": -1},
        {"since": 10**18},
        {"unready_since": -1},
        {"phase": "Serving"},
        {"look": {"at": 10**18}},
    ],
)
def test_a_record_with_an_impossible_value_is_none(change: dict[str, Any]) -> None:
    """It would stop the reconciliation, or be refused by the API server each time."""
    assert CanaryRecord.parse(json.dumps(json.loads(RECORD.text) | change)) is None


@pytest.mark.parametrize(
    "ledger",
    [{"canary": "3f9a01bc"}, Ledger.new("00c0ffee").dump(), Ledger.new("3f9a01bc").dump()],
    ids=["of another form", "of another canary", "its own"],
)
def test_a_ledger_that_cannot_be_continued_is_begun_again(ledger: dict[str, Any]) -> None:
    record = replace(RECORD, look=Look(ledger=ledger))
    found, problems = record_pages(record, COURSE, [PAGE], 60.0, memory_limit_bytes=None)
    assert (found.canary, found.number, problems) == ("3f9a01bc", 1, ())


@pytest.mark.parametrize(
    ("age", "now", "timed"), [(60.0, 60.0, 9), (20.0, 60.0, 0), (60.0, 20.0, 0), (None, 60.0, 9)]
)
def test_durations_count_when_the_pods_and_the_step_are_warm(
    age: float | None, now: float, timed: int
) -> None:
    labels = 'canary="3f9a01bc",step="1",version="canary",status="2xx"'
    page = replace(PAGE, text=f"{DURATIONS}_count{{{labels}}} 9\n")
    pods = [] if age is None else [PodPage("shop-canary-1", Part.CANARY, "3f9a01bc", age, 0)]
    found, _ = record_pages(RECORD, COURSE, [page, *pods], now, memory_limit_bytes=None)
    assert (found.total.canary.requests, found.timed.canary.requests) == (9, timed)


RUNTIME = "fastapi_worker_cpu_seconds_total 1\n"
SERVED = 'http_server_request_duration_seconds_count{http_response_status_code="500"} 9\n'
OLD = PodPage("shop-1", Part.APP, "", 60.0, 0, text=RUNTIME + SERVED)
NEW = PodPage("shop-canary-1", Part.CANARY, "3f9a01bc", 60.0, 0, text=RUNTIME)


@pytest.mark.parametrize(
    ("pages", "problem"),
    [
        ([OLD, NEW], None),
        ([OLD], "canary version are not counted: no pod of it runs"),
        ([OLD, replace(NEW, canary="of another")], "canary version are not counted: no pod"),
        ([NEW, replace(OLD, text="")], "stable version are not counted: it has no metrics"),
        ([OLD, replace(NEW, text=None, problem="no connection")], "not counted: no connection"),
    ],
)
def test_without_nginx_the_pods_of_both_versions_must_count(
    pages: list[PodPage], problem: str | None
) -> None:
    course = replace(COURSE, divided_by=Divider.GATEWAY)
    before, _ = record_pages(RECORD, course, pages, 60.0, memory_limit_bytes=None)
    record = replace(RECORD, look=Look(ledger=before.dump()))
    more = [replace(it, text=(it.text or "").replace(" 9", " 12")) for it in pages if it.text]
    found, problems = record_pages(record, course, more, 65.0, memory_limit_bytes=None)
    if problem is None:
        assert problems == ()
        assert (found.total.stable.requests, found.total.stable.errors) == (3, 3)
    else:
        _, problems = record_pages(RECORD, course, pages, 60.0, memory_limit_bytes=None)
        assert len(problems) == 1
        assert problem in problems[0]
