"""A canary in status, conditions and Events."""

import json
from dataclasses import replace
from typing import Any

import pytest

from fastapi_operator.api.status import Status
from fastapi_operator.judge.verdict import Action, Limits
from fastapi_operator.reconcile.observe.canary_record import (
    CanaryRecord,
    Figures,
    Look,
    Outcome,
    Phase,
)
from fastapi_operator.reconcile.observe.observed import Observed
from fastapi_operator.reconcile.plan.canary_course import Course
from fastapi_operator.reconcile.plan.canary_situation import Situation
from fastapi_operator.reconcile.plan.canary_status import canary_status, events_of, summarize
from fastapi_operator.reconcile.plan.canary_target import CanaryTarget
from fastapi_operator.reconcile.plan.status import StatusInput, build_status
from tests.unit.reconcile.worlds import OWNER, UNREADY, app, child, children, record

NOW = "2026-12-01T00:00:00Z"
COURSE = Course(
    steps=(5, 25, 50),
    step_seconds=60,
    max_wait_seconds=600,
    limits=Limits(min_requests=100),
    max_pods=5,
    deadline_seconds=300,
)
SITUATION = Situation(template="new", released="old", spec="s", image="shop:2", course=COURSE)
RUNNING = CanaryRecord(
    "new",
    "s",
    "3f9a01bc",
    "shop:2",
    Phase.PROGRESSING,
    since=1_790_000_000,
    step=2,
    look=Look(
        Action.WAIT,
        "80 of 100 requests in step 2",
        1_790_000_030,
        Figures(1204, 3, 31),
        Figures(3610, 4, 30),
    ),
)
ABORTED = replace(
    RUNNING, phase=Phase.ABORTED, outcome=Outcome.ABORTED, message="errors 20 %, stable 0.1 %"
)


def target(found: CanaryRecord | None, **changes: Any) -> CanaryTarget:
    return CanaryTarget(found, replace(SITUATION, **changes))


def conditions(found: CanaryRecord | None, *, ready: bool = True) -> dict[str, tuple[str, str]]:
    wanted = app()
    health = {} if ready else {"health": UNREADY}
    live = children(*(child(item, **health) for item in wanted))
    status = build_status(
        StatusInput(
            owner=OWNER,
            generation=2,
            before={},
            now=NOW,
            desired=wanted,
            observed=Observed(live, record(image="shop:1")),
            canary=target(found),
        )
    )
    return {item.type: (item.status, item.reason) for item in status.conditions}


def test_the_status_has_both_versions_the_verdict_and_what_follows() -> None:
    found = canary_status(target(RUNNING))
    assert found is not None
    assert found.model_dump(by_alias=True, exclude_none=True) == {
        "id": "3f9a01bc",
        "image": "shop:2",
        "phase": "Progressing",
        "step": 2,
        "steps": 3,
        "percent": 25,
        "since": "2026-09-21T14:13:20Z",
        "canary": {"requests": 1204, "errors": 3, "p95Milliseconds": 31},
        "stable": {"requests": 3610, "errors": 4, "p95Milliseconds": 30},
        "verdict": "80 of 100 requests in step 2",
        "next": "50 % from 2026-09-21T14:14:20Z, when the judge agrees",
    }


def test_a_trial_of_numbers_changes_no_condition_and_names_them() -> None:
    tried = replace(RUNNING, trial="pool.size from 12 to 18 connections")
    failed = replace(ABORTED, phase=Phase.ENDING, trial=tried.trial)
    for found in (*(replace(tried, phase=phase) for phase in Phase), failed):
        states = conditions(found)
        assert states["Ready"][0] == "True"
        assert states["Reconciling"] == ("False", "Done")
        assert states["Stalled"][0] == "False"
    status = canary_status(target(tried))
    assert status is not None
    assert status.trial == "pool.size from 12 to 18 connections"
    started = next(iter(events_of({}, status)))
    assert started[2].startswith("canary 3f9a01bc of shop:2 with pool.size from 12 to 18")


def test_it_fits_768_bytes_whatever_it_has_to_show() -> None:
    figures = Figures(10**12, 10**12, 10**6)
    long = replace(
        RUNNING,
        image="registry.example.com/" + "x" * 300,
        message="y" * 2000,
        trial="z" * 300,
        look=replace(RUNNING.look, canary=figures, stable=figures),
    )
    body = Status(observed_generation=1, canary=canary_status(target(long))).to_body()
    assert len(json.dumps(body["canary"], ensure_ascii=False).encode()) <= 768
    assert canary_status(None) is None
    assert canary_status(target(None)) is None


@pytest.mark.parametrize("phase", [it for it in Phase if it is not Phase.ABORTED])
def test_a_service_stays_ready_and_reconciles_while_a_canary_runs(phase: Phase) -> None:
    found = conditions(replace(RUNNING, phase=phase))
    assert found["Ready"] == ("True", "Ready")
    assert found["Reconciling"] == ("True", f"Canary{phase.value}")
    assert found["Stalled"][0] == "False"


def test_an_aborted_version_stalls_the_service_which_stays_ready() -> None:
    for stopped in (ABORTED, replace(ABORTED, phase=Phase.ENDING)):
        found = conditions(stopped)
        assert found["Ready"] == ("True", "Ready")
        assert found["Reconciling"][0] == "False"
        assert found["Stalled"] == ("True", "CanaryAborted")
    # Also while pods of the released version are replaced.
    found = conditions(ABORTED, ready=False)
    assert found["Ready"] == ("False", "PodsNotReady")
    assert found["Stalled"] == ("True", "CanaryAborted")
    held = replace(RUNNING, phase=Phase.HOLDING, failed=True, message="errors 20 %")
    assert conditions(held)["Stalled"] == ("True", "CanaryFailed")


def test_the_message_has_the_cause_first_then_the_state_and_the_remedy() -> None:
    found = summarize(target(ABORTED), OWNER, {"image": "shop:1"}, migrates=True)
    assert found is not None
    assert found.message == (
        "errors 20 %, stable 0.1 %; the canary of shop:2 is aborted, and shop:1 serves all "
        "requests; the database keeps the schema of its migration; apply a fixed spec, or run: "
        "fastapi-operator rollback shop -n default; to release it anyway, run: "
        "fastapi-operator promote shop -n default"
    )
    without = summarize(target(ABORTED), OWNER, {"image": "shop:1"}, migrates=False)
    assert without is not None
    assert "schema" not in without.message


def test_a_version_with_the_same_image_is_not_named_by_it() -> None:
    found = summarize(target(ABORTED), OWNER, {"image": "shop:2"}, migrates=False)
    assert found is not None
    assert "shop:2 is aborted, and the released version serves all requests;" in found.message


def test_a_canary_that_cannot_begin_yet_is_progress() -> None:
    waiting = summarize(target(None, proxies_ready=False), OWNER, {}, migrates=False)
    assert waiting is not None
    assert (waiting.reason, waiting.stopped) == ("CanaryWaiting", False)
    assert "the proxies are not ready" in waiting.message
    assert summarize(target(None, course=None), OWNER, {}, migrates=False) is None
    assert summarize(None, OWNER, {}, migrates=False) is None


def events(before: CanaryRecord | None, now: CanaryRecord | None) -> list[str]:
    old = canary_status(target(before))
    stored = {"canary": old.model_dump(by_alias=True)} if old is not None else {}
    return [reason for _, reason, _ in events_of(stored, canary_status(target(now)))]


def test_each_transition_is_one_event() -> None:
    starting = replace(RUNNING, phase=Phase.STARTING, step=0)
    first = replace(RUNNING, step=1)
    assert events(None, starting) == ["CanaryStarted"]
    assert events(starting, first) == ["CanaryAdvanced"]
    # Both happened before the status was written.
    assert events(None, first) == ["CanaryStarted", "CanaryAdvanced"]
    assert events(first, RUNNING) == ["CanaryAdvanced"]
    assert events(RUNNING, RUNNING) == []
    assert events(RUNNING, replace(RUNNING, phase=Phase.HOLDING)) == ["CanaryHeld"]
    promoting = replace(RUNNING, phase=Phase.PROMOTING)
    assert events(RUNNING, promoting) == ["CanaryPromoted"]
    ending = replace(RUNNING, phase=Phase.ENDING, outcome=Outcome.PROMOTED)
    assert events(promoting, ending) == events(ending, None) == []
    # Stalled has an Event of its own.
    assert events(RUNNING, replace(ABORTED, phase=Phase.ENDING)) == []
    withdrawn = replace(ending, outcome=Outcome.WITHDRAWN)
    assert events(withdrawn, None) == ["CanaryWithdrawn"]
    assert events(RUNNING, replace(starting, id="other")) == ["CanaryStarted"]
