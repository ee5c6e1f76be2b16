"""The fault rounds in a short form: a service in each stage, an operator that dies often.

The long form is ``make faults``: more services, every fault, every kind of write.
"""

import pytest

from tests.faults.extended import EXTENDED
from tests.faults.faults import FAULTS, Fault, killed_at_every_write, requests_fail
from tests.faults.fleet import CANARIES, Stage
from tests.faults.rounds import Outcome, disturbed, undisturbed

COUNT = len(Stage) - len(CANARIES)


@pytest.fixture(scope="module")
def calm() -> Outcome:
    """The run that the others are compared with."""
    found = undisturbed(seed=1, count=COUNT, short=True)
    assert found.broken == ()
    return found


def test_a_fleet_with_faults_converges_like_one_without(calm: Outcome) -> None:
    # Each crash except the last needs a pending write, so the last is without one.
    hits = (requests_fail, killed_at_every_write)
    hit = disturbed(
        [fault for wanted in hits for fault in FAULTS if fault.hit is wanted],
        calm,
        COUNT,
        short=True,
    )
    assert hit.broken == ()


@pytest.mark.parametrize("fault", EXTENDED, ids=lambda fault: fault.name)
def test_a_fleet_converges_after(fault: Fault, calm: Outcome) -> None:
    assert disturbed((fault,), calm, COUNT, short=True).broken == ()
