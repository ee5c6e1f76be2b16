"""The report of a preflight, from the pod that ran it."""

import json
from typing import Any

from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.observed import Health
from fastapi_operator.reconcile.observe.preflight_pods import (
    PreflightReports,
    never_ran,
    read_report,
)
from fastapi_operator.reconcile.observe.preflight_report import Outcome, PreflightReport
from tests.unit.reconcile.worlds import FAILED, OWNER, child, children, desired

JOB = desired("Job", "shop-preflight-two", Part.PREFLIGHT)
CHILD = child(JOB, health=FAILED, preflight="key")
DIGEST = f"sha256:{'0' * 64}"


def read(message: str, found: Health | None = None, **ended: Any) -> PreflightReport:
    state = {"terminated": {"exitCode": 1, "message": message, **ended}}
    image = f"registry.test/shop@{DIGEST}"
    status = {"name": "preflight", "imageID": image, "state": state}
    return read_report(CHILD, [{"status": {"containerStatuses": [status]}}], found)


def test_a_fault_has_its_place_and_its_remedy() -> None:
    text = {
        "outcome": "Failed",
        "reason": "MissingModule",
        "message": "No module named 'stripe'",
        "place": "/app/pay.py:3",
        "python": "3.14.0",
        "versions": {"uvicorn": "0.38.0", "fastapi": 1},
        "gil": "yes",
    }
    found = read(json.dumps(text))
    assert (found.key, found.job_uid, found.digest) == ("key", CHILD.uid, DIGEST)
    assert found.message.startswith("No module named 'stripe', at /app/pay.py:3; add the package")
    # A value of another type is left out: the image wrote the report.
    assert found.figures == {"python": "3.14.0", "server": "uvicorn 0.38.0"}
    assert "hunter2" not in read(json.dumps({**text, "message": "redis://u:hunter2@x"})).message


def test_a_pod_without_a_report_does_not_stop_the_rollout() -> None:
    error = Health(False, "Failed", "python3: executable file not found", True)
    for message in ("", "no JSON", '{"outcome": "Great"}', "[1]", "5"):
        found = read(message, error)
        assert (found.outcome, found.reason) == (Outcome.UNKNOWN, "NoReport")
        assert found.message.endswith("executable file not found")
    assert read_report(CHILD, [], None).outcome is Outcome.UNKNOWN


def test_an_import_that_needs_too_much_memory_is_a_fault() -> None:
    found = read("", reason="OOMKilled")
    assert (found.outcome, found.reason) == (Outcome.FAILED, "OutOfMemory")
    assert "spec.resources.limits.memory" in found.message


def test_a_job_without_room_is_given_up() -> None:
    full = never_ran(CHILD, Health(False, "FailedCreate", "exceeded quota", True))
    assert full is not None and full.outcome is Outcome.UNKNOWN
    assert never_ran(CHILD, Health(False, "ErrImagePull", "not found", True)) is None


def test_a_report_is_read_once() -> None:
    reports, found = PreflightReports(), children(CHILD)
    assert reports.due(OWNER.key, [JOB], found, {}) == JOB
    assert reports.due(OWNER.key, [JOB], found, {"jobUid": CHILD.uid}) is None
    assert reports.due(OWNER.key, [JOB], children(child(JOB, health=Health(False))), {}) is None
    reports.record(OWNER.key, read_report(CHILD, [], None))
    assert reports.due(OWNER.key, [JOB], found, {}) is None
