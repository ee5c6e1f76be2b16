"""The steps of a rollout, as a person sees them."""

from typing import Any

import pytest

from fastapi_operator.delivery.progress import Progress, Step, is_in_cluster
from fastapi_operator.parts import Part


def body(generation: int = 2, **conditions: tuple[str, str, str]) -> dict[str, Any]:
    found = [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
        }
        for kind, (status, reason, message) in conditions.items()
    ]
    return {"status": {"conditions": found}}


def test_each_change_is_one_step_causes_first() -> None:
    progress = Progress(2)
    waits = ("False", "WaitingForPods", "0 of 1 pods")
    first = body(ApplicationReady=waits, DatabaseReady=waits)
    assert list(progress.steps(first)) == [
        Step(Part.DATABASE, False, "0 of 1 pods"),
        Step(Part.APP, False, "0 of 1 pods"),
    ]
    assert progress.unready() == (Part.DATABASE, Part.APP)
    # Another count is not a step; another reason is.
    counted = ("False", "WaitingForPods", "1 of 2 pods")
    crashes = ("False", "CrashLoopBackOff", "pod shop-1: exit code 1")
    second = body(ApplicationReady=crashes, DatabaseReady=counted)
    assert list(progress.steps(second)) == [Step(Part.APP, False, "pod shop-1: exit code 1")]
    third = body(ApplicationReady=("True", "Ready", ""), DatabaseReady=counted)
    assert list(progress.steps(third)) == [Step(Part.APP, True, "")]
    assert progress.unready() == (Part.DATABASE,)


def test_conditions_of_an_older_generation_do_not_count() -> None:
    progress = Progress(3)
    old = body(2, Ready=("True", "Ready", ""), Stalled=("True", "InvalidSpec", "x"))
    assert not progress.is_observed(old)
    assert not progress.is_ready(old)
    assert progress.failure(old) == ""
    assert list(progress.steps(body(2, ApplicationReady=("True", "Ready", "")))) == []
    assert not progress.is_observed({})
    # One change later, also the next generation is an answer.
    assert progress.is_ready(body(4, Ready=("True", "Ready", "")))


def test_a_stalled_service_has_failed_with_its_reason() -> None:
    failed = body(Stalled=("True", "MigrationFailed", "Job shop-migrate: relation exists"))
    assert Progress(2).failure(failed) == "MigrationFailed: Job shop-migrate: relation exists"
    assert Progress(2).failure(body(Stalled=("False", "Progressing", ""))) == ""


def test_each_share_of_a_canary_is_one_step_and_it_is_not_ready_before_the_release() -> None:
    progress = Progress(2)
    ready = ("True", "Ready", "")

    def at(percent: int, *, since: str = "now") -> dict[str, Any]:
        found = body(Ready=ready, Reconciling=("True", "CanaryProgressing", "canary: …"))
        canary = {"phase": "Progressing", "percent": percent, "next": "25 % later", "since": since}
        found["status"]["canary"] = canary
        return found

    assert list(progress.steps(at(5))) == [
        Step("canary", False, "progressing, 5 % of the requests; 25 % later")
    ]
    assert list(progress.steps(at(5, since="then"))) == []
    assert len(list(progress.steps(at(25)))) == 1
    assert not progress.is_ready(at(25))
    released = body(Ready=ready, Reconciling=("False", "Ready", ""))
    released["status"]["canary"] = {"phase": "Ending", "percent": 0, "next": ""}
    assert list(progress.steps(released)) == []
    assert progress.is_ready(released)


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("http://shop.default.svc", True),
        ("http://shop.default.svc:8080/x", True),
        ("https://shop.example.com/a.svc", False),
        ("https://svc", False),
    ],
)
def test_a_url_inside_the_cluster_is_recognised(url: str, inside: bool) -> None:
    assert is_in_cluster(url) is inside
