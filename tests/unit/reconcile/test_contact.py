"""When a process counts as without contact, and the log levels of lasting failures."""

import structlog
from structlog.testing import capture_logs

from fastapi_operator.cluster.failures import Failures
from fastapi_operator.reconcile.loop import contact as contacts
from fastapi_operator.reconcile.loop.contact import Contact


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def contact(clock: Clock, *, with_lease: bool = True, discovery_seconds: float = 60) -> Contact:
    return Contact(with_lease=with_lease, discovery_seconds=discovery_seconds, clock=clock)


def test_a_process_begins_without_contact() -> None:
    assert "since the start" in contact(Clock()).why_missing()


def test_only_the_lease_counts_for_a_process_with_a_lease() -> None:
    clock = Clock()
    found = contact(clock)
    found.request("/version", 200)
    found.request("leases", 403)
    found.request("leases", 0)
    assert found.why_missing()
    found.request("leases", 200)
    assert not found.why_missing()
    clock.now += contacts.STALE_SECONDS + 1
    assert found.why_missing() == "the Lease was not read or renewed for 31 s; see the log"


def test_any_success_that_needs_a_right_counts_without_a_lease() -> None:
    clock = Clock()
    found = contact(clock, with_lease=False, discovery_seconds=60)
    found.request("namespaces", 403)
    assert found.why_missing()
    # Every user may read these, also one without any right.
    found.request("/version", 200)
    found.request("/apis", 200)
    assert found.why_missing()
    found.request("namespaces", 200)
    # Two discoveries may fail.
    clock.now += 3 * 60
    assert not found.why_missing()
    clock.now += 1
    assert found.why_missing() == "no request succeeded for 181 s; see the log"
    assert found.exit_seconds > found.stale_seconds


def test_a_lasting_failure_becomes_an_error() -> None:
    clock = Clock()
    with capture_logs() as logs:
        failures = Failures(structlog.get_logger(), "failed", clock=clock, error_after=30)
        for _ in range(3):
            failures.add(error="no route")
            clock.now += 20
        failures.end()
        failures.add(error="no route")
    assert [entry["log_level"] for entry in logs] == ["warning", "warning", "error", "warning"]
    assert [entry["failing_seconds"] for entry in logs] == [0, 20, 40, 0]
