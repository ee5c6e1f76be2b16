"""The status: conditions from live objects."""

from dataclasses import replace
from typing import Any

import pytest

from fastapi_operator.facts import CERTIFICATE, Facts
from fastapi_operator.parts import Part
from fastapi_operator.problems import Problem, Severity, Stage, missing_api
from fastapi_operator.reconcile.observe.observed import Health, Observed
from fastapi_operator.reconcile.plan.migrations import Migration, find_migration
from fastapi_operator.reconcile.plan.refusals import Refusal
from fastapi_operator.reconcile.plan.status import StatusInput, build_status, part_health
from fastapi_operator.reconcile.plan.steps import Waiting
from fastapi_operator.resources.desired import Desired
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.explain import decision_record
from tests.unit.reconcile.worlds import (
    FAILED,
    OWNER,
    UNREADY,
    app,
    child,
    children,
    database,
    desired,
    migration,
    record,
)
from tests.unit.services import EVERYTHING

NOW, BEFORE = "2026-11-22T12:00:00Z", "2026-11-22T11:00:00Z"


def situation(wanted: list[Desired], observed: Observed, **changes: Any) -> StatusInput:
    values: dict[str, Any] = {"owner": OWNER, "generation": 3, "before": {}, "now": NOW}
    request = changes.pop("request", None)
    changes |= {"migration": find_migration(wanted, observed, OWNER, request=request)}
    return StatusInput(**{**values, "desired": wanted, "observed": observed, **changes})


def conditions(found: StatusInput) -> dict[str, tuple[str, str, str]]:
    return {
        item.type: (item.status, item.reason, item.message)
        for item in build_status(found).conditions
    }


def all_live(wanted: list[Desired]) -> Observed:
    return Observed(children(*(child(item) for item in wanted)), record("k1"))


def test_ready_only_if_all_parts_are_ready() -> None:
    wanted = [*database(), *app()]
    found = conditions(situation(wanted, all_live(wanted)))
    assert found["Ready"][0] == "True"
    assert found["DatabaseReady"][0] == found["ApplicationReady"][0] == "True"
    broken = {**all_live(wanted).children, **children(child(database()[2], health=UNREADY))}
    found = conditions(situation(wanted, Observed(broken)))
    assert found["Ready"][:2] == ("False", "PodsNotReady")
    assert "StatefulSet shop-db" in found["Ready"][2]
    assert found["Reconciling"][0] == "True"
    assert found["Stalled"][0] == "False"
    assert found["ApplicationReady"][0] == "True"


def test_the_cause_is_reported_before_its_consequences() -> None:
    wanted = [*database(), *app(), desired("Deployment", "shop-proxy", Part.PROXY)]
    down = Observed(children(*(child(item, health=UNREADY) for item in wanted)))
    assert conditions(situation(wanted, down))["Ready"][2].startswith("database: ")


def test_a_first_start_waits_for_the_proxy_and_a_service_that_was_ready_does_not() -> None:
    wanted = [*app(), desired("Deployment", "shop-proxy", Part.PROXY)]
    found = conditions(situation(wanted, all_live(wanted), address_seconds=3.0))
    assert found["ApplicationReady"][:2] == found["Ready"][:2] == ("False", "WaitingForProxy")
    assert found["ProxyReady"][0] == "True"
    before = {"conditions": [{"type": "ApplicationReady", "status": "True"}]}
    found = conditions(situation(wanted, all_live(wanted), address_seconds=3.0, before=before))
    assert found["ApplicationReady"][0] == found["Ready"][0] == "True"


def test_optional_parts_do_not_keep_a_service_from_ready() -> None:
    scaler = desired("HorizontalPodAutoscaler", "shop", Part.AUTOSCALING)
    wanted = [*app(), scaler]
    no_metrics = Health(False, "FailedGetResourceMetric", "no metrics", failed=True)
    live = {**all_live(wanted).children, **children(child(scaler, health=no_metrics))}
    found = conditions(situation(wanted, Observed(live)))
    assert found["Ready"][0] == "True"
    assert found["AutoscalingReady"][:2] == ("False", "FailedGetResourceMetric")


def test_a_failed_run_is_reported_and_the_service_stays_ready() -> None:
    wanted = [*app(), desired("CronJob", "shop-schedules-report", Part.SCHEDULES)]
    run = Health(
        False, "RunFailed", "the run of 07:00 failed; no run has succeeded yet", failed=True
    )
    observed = Observed(children(*(child(item) for item in app()), child(wanted[-1], health=run)))
    text = {wanted[-1].key: Health(False, "Failed", "pod report-1: exit code 1: no route", True)}
    found = conditions(situation(wanted, observed, diagnoses=text))
    assert found["Ready"][0] == "True"
    status, reason, message = found["SchedulesReady"]
    assert (status, reason) == ("False", "RunFailed")
    assert "shop-schedules-report: the run of 07:00 failed" in message
    assert message.endswith("exit code 1: no route")


def test_a_service_with_a_failed_background_process_is_not_ready() -> None:
    wanted = [*app(), desired("Deployment", "shop-background-worker", Part.BACKGROUND)]
    broken = child(wanted[-1], health=UNREADY)
    found = conditions(
        situation(wanted, Observed(children(*(child(item) for item in app()), broken)))
    )
    assert found["ApplicationReady"][0] == "True"
    assert found["BackgroundReady"][:2] == ("False", "PodsNotReady")
    assert found["Ready"][2].startswith("background: ")


def test_a_refused_write_stalls() -> None:
    wanted = app()
    refusal = Refusal(wanted[1].key, "NameTaken", "it belongs to Deployment other")
    found = conditions(situation(wanted, all_live(wanted), refusals=[refusal]))
    assert found["Stalled"] == ("True", "NameTaken", "it belongs to Deployment other")
    assert found["Ready"][0] == found["Reconciling"][0] == "False"
    assert found["ApplicationReady"][1] == "NameTaken"


def test_an_invalid_spec_stalls_with_its_field() -> None:
    problem = Problem(Severity.ERROR, Stage.PLAN, "spec.resources", "too small", "set 1Gi")
    found = situation([], Observed(), problems=[problem])
    assert conditions(found)["Stalled"] == (
        "True",
        "InvalidSpec",
        "spec.resources: too small; set 1Gi",
    )
    (problem_seen,) = build_status(found).problems
    assert (problem_seen.path, problem_seen.message) == ("spec.resources", "too small; set 1Gi")


def test_a_missing_api_is_progress_while_it_may_arrive() -> None:
    problem = missing_api("spec.exposure.tls.issuer", CERTIFICATE, "install cert-manager")
    waits = situation([], Observed(), problems=[problem], api_seconds=9.0)
    assert conditions(waits)["Reconciling"] == (
        "True",
        "WaitingForApi",
        f"waits for an API: {problem}",
    )
    assert conditions(waits)["Stalled"][0] == "False"
    assert conditions(replace(waits, api_seconds=0.0))["Stalled"] == (
        "True",
        "InvalidSpec",
        str(problem),
    )


def test_warnings_do_not_stall() -> None:
    warning = Problem(Severity.WARNING, Stage.RULE, "spec.image", "is a mutable tag")
    wanted = app()
    found = situation(wanted, all_live(wanted), problems=[warning])
    assert conditions(found)["Ready"][0] == "True"
    assert build_status(found).problems[0].severity == "warning"


def test_a_failed_migration_stalls_with_the_message_of_its_pod() -> None:
    wanted = [*database(), migration("k2"), *app()]
    job = child(migration("k2"), health=FAILED)
    live = {**all_live([*database(), *app()]).children, **children(job)}
    text = Health(False, "Failed", "pod x: exit code 1: no such revision", failed=True)
    found = situation(
        wanted,
        Observed(live, record("k1")),
        request="k2",
        diagnoses={job.key: text},
    )
    assert conditions(found)["Stalled"][:2] == ("True", "MigrationFailed")
    assert "no such revision" in conditions(found)["MigrationsReady"][2]
    assert conditions(found)["ApplicationReady"][0] == "True"
    migrated = build_status(found).migration
    assert migrated is not None
    assert (migrated.key, migrated.state) == ("k2", "Failed")


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ({"key": "k1", "state": "Succeeded", "database": "a"}, "two"),
        # A previous image: the database has what the newer one left.
        ({"key": "k2", "state": "Succeeded", "database": "a"}, "two"),
        ({"key": "k2", "state": "Failed", "database": "a"}, "two"),
        ({"key": "k2", "state": "Running", "database": "a"}, None),
        ({"key": "k2", "state": "Succeeded", "database": "another"}, None),
    ],
)
def test_the_revision_is_kept_while_no_migration_can_have_changed_it(
    stored: dict[str, str], shown: str | None
) -> None:
    wanted = [*database(), migration("k1"), *app()]
    live = all_live([*database(), *app()])
    before = {"migration": {**stored, "revision": "two"}}
    found = situation(wanted, live, before=before)
    known = Migration("k1", "k1", "", child(migration("k1")).key, succeeded=True, database="a")
    status = build_status(replace(found, migration=known))
    assert status.migration is not None
    assert (status.migration.state, status.migration.revision) == ("Succeeded", shown)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (
            "FAILED: Can't locate revision identified by 'f00'",
            "set spec.image to the image",
        ),
        ("Multiple head revisions are present for given argument 'head'", "alembic merge heads"),
        ("LockNotAvailable: canceling statement due to lock timeout", "migrations.retry"),
    ],
)
def test_a_known_migration_failure_has_a_remedy(text: str, remedy: str) -> None:
    wanted = [*database(), migration("k2"), *app()]
    job = child(migration("k2"), health=FAILED)
    live = {**all_live([*database(), *app()]).children, **children(job)}
    problem_seen = {job.key: Health(False, "Failed", text, failed=True)}
    found = situation(wanted, Observed(live), request="k2", diagnoses=problem_seen)
    message = conditions(found)["MigrationsReady"][2]
    assert text in message
    assert remedy in message


def test_a_part_behind_a_gate_has_the_reason() -> None:
    wanted = app()
    waiting = [
        Waiting(item.key, item.part, "WaitingForMigration", "waits for the migration")
        for item in wanted[1:]
    ]
    live = Observed(children(child(wanted[0])))
    health = part_health(situation(wanted, live, waiting=waiting))[Part.APP]
    assert (health.ready, health.reason) == (False, "WaitingForMigration")


def test_the_diagnosis_of_pods_replaces_the_counts_of_the_workload() -> None:
    wanted = app()
    deployment = wanted[2]
    live = {**all_live(wanted).children, **children(child(deployment, health=UNREADY))}
    text = Health(False, "ImagePullBackOff", "pod x: not found", failed=True)
    found = conditions(situation(wanted, Observed(live), diagnoses={deployment.key: text}))
    assert found["ApplicationReady"] == ("False", "ImagePullBackOff", "pod x: not found")
    assert found["Ready"][:2] == ("False", "ImagePullBackOff")


def test_pods_that_are_not_ready_after_the_deadline_stall_with_their_message() -> None:
    wanted = app()
    late = Health(False, "ProgressDeadlineExceeded", "has timed out progressing", failed=True)
    live = {**all_live(wanted).children, **children(child(wanted[2], health=late))}
    text = Health(False, "ImagePullBackOff", "pod x: not found", failed=True)
    found = conditions(situation(wanted, Observed(live), diagnoses={wanted[2].key: text}))
    assert found["Stalled"] == ("True", "ImagePullBackOff", "app: pod x: not found")
    assert found["Reconciling"][0] == found["Ready"][0] == "False"


def test_a_transition_time_stays_while_the_status_does() -> None:
    wanted = app()
    before = {
        "conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": BEFORE},
            {"type": "Stalled", "status": "False", "lastTransitionTime": BEFORE},
        ]
    }
    found = build_status(situation(wanted, all_live(wanted), before=before))
    times = {item.type: item.last_transition_time for item in found.conditions}
    assert times["Ready"] == NOW
    assert times["Stalled"] == BEFORE
    assert {item.observed_generation for item in found.conditions} == {3}


def test_a_transition_time_in_the_future_is_corrected() -> None:
    wanted = app()
    later = {"type": "Ready", "status": "True", "lastTransitionTime": "2099-01-01T00:00:00Z"}
    found = build_status(situation(wanted, all_live(wanted), before={"conditions": [later]}))
    assert {item.last_transition_time for item in found.conditions} == {NOW}


def test_a_suspended_service_keeps_its_readiness() -> None:
    wanted = app()
    found = conditions(situation(wanted, all_live(wanted), suspended=True))
    assert found["Ready"][:2] == ("True", "Suspended")
    assert found["Reconciling"][:2] == ("False", "Suspended")


def test_a_suspended_service_with_a_newer_spec_is_not_ready() -> None:
    wanted = app()
    found = conditions(situation(wanted, all_live(wanted), suspended=True, released=False))
    assert found["Ready"][:2] == ("False", "Suspended")


def test_a_temporary_error_is_reported_as_reconciling() -> None:
    wanted = app()
    found = conditions(situation(wanted, all_live(wanted), failure="503 busy"))
    assert found["Ready"][:2] == ("False", "Retrying")
    assert found["Stalled"][0] == "False"


def test_a_long_message_is_cut_to_the_limit_of_the_schema() -> None:
    wanted = app()
    refusal = Refusal(wanted[0].key, "Invalid", "x" * 5000)
    found = conditions(situation(wanted, all_live(wanted), refusals=[refusal]))
    assert len(found["Stalled"][2]) == 1024


def test_headline_values_are_shown_as_in_explain() -> None:
    plan = derive(EVERYTHING, Settings(), Facts())
    explained = {item["name"]: item for item in map(decision_record, plan.decisions())}
    problem_seen = build_status(situation([], Observed({}), plan=plan)).tuning
    assert len(problem_seen) == len(plan.headline())
    for item in problem_seen:
        assert item.reason == explained[item.name]["reason"]
        assert item.source == explained[item.name]["source"]
