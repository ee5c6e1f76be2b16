"""The fault rounds in a short form: a service in each stage, an operator that dies often.

The long form is ``make faults``: more services, every fault, every kind of write.
"""

from tests.faults.faults import FAULTS, killed_at_every_write, requests_fail
from tests.faults.fleet import Stage
from tests.faults.rounds import disturbed, undisturbed


def test_a_fleet_with_faults_converges_like_one_without() -> None:
    calm = undisturbed(seed=1, count=len(Stage), short=True)
    assert calm.broken == ()
    # Each crash except the last needs a pending write, so the last is without one.
    hits = (requests_fail, killed_at_every_write)
    hit = disturbed(
        [fault for wanted in hits for fault in FAULTS if fault.hit is wanted],
        calm,
        len(Stage),
        short=True,
    )
    assert hit.broken == ()
