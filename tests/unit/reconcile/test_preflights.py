"""When an image is checked, and when it may be rolled out."""

from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.observed import Child, Health, Observed
from fastapi_operator.reconcile.observe.preflight_report import Outcome, PreflightReport
from fastapi_operator.reconcile.plan.preflight_status import (
    preflight_health,
    preflight_problems,
    preflight_status,
)
from fastapi_operator.reconcile.plan.preflights import (
    JOBS_KEPT,
    Preflight,
    find_preflight,
    obsolete,
)
from fastapi_operator.reconcile.plan.steps import find_open_gates, plan_steps
from fastapi_operator.resources.desired import Desired, Gate, Write
from fastapi_operator.resources.preflight import request_of
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.reconcile.worlds import (
    FAILED,
    OWNER,
    app,
    child,
    children,
    desired,
    migration,
    owned,
    record,
)
from tests.unit.services import service

SPEC = {"image": "shop:2"}
KEY = request_of(SPEC)
RUNNING = Health(False, "Running", "the Job has not finished")


def job(name: str = "two") -> Desired:
    return desired("Job", f"shop-preflight-{name}", Part.PREFLIGHT, write=Write.CREATE_ONCE)


def live(health: Health, name: str = "two", key: str = KEY, **changes: Any) -> Child:
    return child(job(name), health=health, preflight=key, **changes)


def report(outcome: Outcome, key: str = KEY, name: str = "two") -> PreflightReport:
    return PreflightReport(key, child(job(name)).uid, outcome, "MissingModule", "no stripe")


def found(
    *jobs: Child,
    read: PreflightReport | None = None,
    stored: dict[str, Any] | None = None,
    released: dict[str, Any] | None = None,
) -> Preflight:
    observed = Observed(
        children(*jobs), release=record(**released) if released else None, preflight=read
    )
    preflight = find_preflight([job()], observed, OWNER, spec=SPEC, stored=stored or {})
    assert preflight is not None
    return preflight


def test_a_new_image_is_checked_before_its_migration_and_its_pods() -> None:
    wanted = owned([job(), migration("k1"), *app()])
    preflight = found()
    gates = find_open_gates([job(), *app()], Observed(), owner=OWNER, migration=None,
                            preflight=preflight)  # fmt: skip
    assert not gates & {Gate.CHECKED, Gate.MIGRATED, Gate.PROMOTED}
    steps = plan_steps(
        owner=OWNER, desired_objects=wanted, released_objects=(), observed=Observed(),
        gates=gates, spec=SPEC, migration=None, preflight=preflight,
    )  # fmt: skip
    written = {step.key.name for step in steps.writes}
    assert "shop-preflight-two" in written and steps.release is None
    assert {item.reason for item in steps.waiting} >= {"WaitingForPreflight"}


@pytest.mark.parametrize(
    "proof",
    [
        {"released": SPEC},
        {"stored": report(Outcome.PASSED).to_status().model_dump(by_alias=True)},
        {"stored": report(Outcome.UNKNOWN).to_status().model_dump(by_alias=True)},
        {"read": report(Outcome.PASSED)},
    ],
    ids=["release", "status", "unknown", "read"],
)
def test_an_accepted_image_is_not_checked_again(proof: dict[str, Any]) -> None:
    assert found(**proof).passed


def test_a_job_that_succeeded_is_the_proof_also_with_other_inputs() -> None:
    assert found(live(Health(True), "older")).passed
    assert not found(live(Health(True), "older", key="another image")).passed
    assert not found(live(RUNNING)).passed


def test_a_failure_counts_until_its_job_is_deleted_or_an_input_changes() -> None:
    failed = report(Outcome.FAILED)
    for proof in ({"read": failed}, {"stored": failed.to_status().model_dump(by_alias=True)}):
        assert found(live(FAILED), **proof).failed
        again = found(**proof)
        assert not again.passed and not again.failed
        assert not found(live(RUNNING, uid="another"), **proof).failed
    # Its end was not read yet, for example after a restart of the operator.
    unread = found(live(FAILED))
    assert not unread.passed and not unread.failed


def test_jobs_that_nothing_needs_are_deleted() -> None:
    ended = [live(Health(True), f"old-{n}", key=f"{n}", created=f"{n}") for n in range(5)]
    older = live(RUNNING, "other", key="another")
    jobs = [*ended, older, live(RUNNING)]
    gone = obsolete(found(live(RUNNING)), Observed(children(*jobs)), OWNER)
    assert {item.key.name for item in gone} == {
        "shop-preflight-other", "shop-preflight-old-0", "shop-preflight-old-1",
    }  # fmt: skip
    assert JOBS_KEPT == 3
    # A Job whose pod no node can run would take the room of the app's pods later.
    given_up = found(live(RUNNING), read=report(Outcome.UNKNOWN))
    assert [item.key for item in obsolete(given_up, Observed(children(live(RUNNING))), OWNER)] == [
        job().key
    ]


def test_a_failure_stalls_with_the_fault_and_the_next_step() -> None:
    preflight = found(live(FAILED), read=report(Outcome.FAILED))
    health = preflight_health(preflight, live(FAILED), None, None)
    assert (health.reason, health.failed) == ("PreflightFailed", True)
    assert "no stripe" in health.message
    assert "kubectl delete job shop-preflight-two -n default" in health.message


def test_an_image_that_cannot_be_pulled_has_the_message_of_the_pod() -> None:
    pulled = Health(False, "ErrImagePull", "pod x: not found", True)
    assert preflight_health(found(live(RUNNING)), live(RUNNING), pulled, None) == pulled
    waiting = preflight_health(found(live(RUNNING)), live(RUNNING), None, None)
    assert waiting.reason == "PreflightRunning"


@pytest.mark.parametrize("reason", ["Failed", "OOMKilled"])
def test_a_container_that_has_ended_waits_for_the_report_of_its_job(reason: str) -> None:
    ended = Health(False, reason, 'exit code 1: {"outcome": "Failed"}', failed=True)
    waiting = preflight_health(found(live(RUNNING)), live(RUNNING), ended, None)
    assert (waiting.reason, waiting.failed) == ("PreflightRunning", False)


def test_the_status_is_about_the_image_of_the_spec() -> None:
    passed = PreflightReport(KEY, "uid", Outcome.PASSED, figures={"python": "3.14.0"})
    status = preflight_status(found(read=passed), {})
    assert status is not None and status.python == "3.14.0"
    stored = {"preflight": status.model_dump(by_alias=True, exclude_none=True)}
    assert preflight_status(found(stored=stored["preflight"]), stored) == status
    other = {"preflight": {**stored["preflight"], "key": "another"}}
    assert preflight_status(found(), other) is None


def problems(read: PreflightReport) -> list[str]:
    preflight = found(read=read)
    plan = derive(service(), Settings(), Facts())
    return [
        f"{item.severity} {item.message}"
        for item in preflight_problems(preflight, preflight_status(preflight, {}), plan)
    ]


def test_an_uncertain_fault_is_a_warning() -> None:
    assert problems(report(Outcome.UNKNOWN)) == ["warning no stripe"]
    assert problems(report(Outcome.PASSED)) == []


def test_an_import_for_which_the_limit_is_too_low_is_a_warning() -> None:
    def measured(size: int) -> list[str]:
        figures = {"memory_bytes": size << 20}
        return problems(PreflightReport(KEY, "uid", Outcome.PASSED, figures=figures))

    assert measured(150) == []
    (message,) = measured(300)
    assert "need 300Mi each after their import" in message and "set at least 360Mi" in message
