"""The report of a migration: its lines, and which pods are read for it."""

from typing import Any

from fastapi_operator.reconcile.observe.migration_report import (
    MigrationReport,
    MigrationReports,
    find_report,
    parse_report,
)
from fastapi_operator.reconcile.observe.observed import Health
from tests.unit.reconcile.worlds import OWNER, child, children, migration

TEXT = """revision: none -> two
cancelled a statement: it waited for session 7 (role app)
unfinished: index public.a is invalid: run DROP INDEX CONCURRENTLY public.a;
unfinished: 4 more
"""
JOB = migration("k1")
READY = children(child(JOB))


def test_a_report_has_revision_unfinished_objects_and_notes() -> None:
    report = parse_report(TEXT)
    assert (report.before, report.after) == ("none", "two")
    assert report.unfinished[1] == "4 more"
    assert report.summary.startswith("cancelled a statement")
    assert "the revision is two, before it none" in report.summary
    assert "DROP INDEX" in report.summary


def test_an_unchanged_revision_is_reported_as_such() -> None:
    assert parse_report("revision: one -> one").summary == "the revision is still one"
    assert parse_report("").summary == ""


def pod(state: dict[str, Any]) -> dict[str, Any]:
    return {"status": {"initContainerStatuses": [{"name": "checks", "state": state}]}}


def test_only_a_sidecar_that_has_ended_has_a_report() -> None:
    assert find_report([{"status": {}}, pod({"running": {}})]) is None
    assert find_report([pod({"terminated": {"exitCode": 0}})]) == MigrationReport()
    ended = pod({"terminated": {"exitCode": 0, "message": "revision: a -> b"}})
    assert find_report([ended]) == MigrationReport("a", "b")


def due(reports: MigrationReports, found: Any = READY, **before: str) -> int:
    stored = {"migration": before} if before else {}
    return len(reports.due(OWNER.key, [JOB], found, migration_key="k1", before=stored))


def test_the_pods_of_a_job_are_read_once_after_its_success() -> None:
    reports = MigrationReports()
    assert due(reports, children(child(JOB, health=Health(False)))) == 0
    assert due(reports) == 1
    assert due(reports, key="k0", state="Succeeded") == 1
    assert due(reports, key="k1", state="Running") == 1
    # Its end came during the reconciliation that wrote the status.
    assert due(reports, key="k1", state="Succeeded") == 1
    # The status has it since an earlier process.
    assert due(MigrationReports(), key="k1", state="Succeeded") == 0
    reports.record(OWNER.key, JOB, [])
    assert due(reports) == 0
    assert reports.find(OWNER.key, [JOB]) is None
