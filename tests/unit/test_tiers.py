"""The runner of the tiers: when a run without a failed test fails."""

from tests import tiers


def test_a_run_is_late_by_the_sum_of_its_tiers() -> None:
    outcomes = [tiers.Outcome(seconds=15 * 60), tiers.Outcome(seconds=15 * 60)]

    assert not tiers.is_late(outcomes, 30)
    assert tiers.is_late([*outcomes, tiers.Outcome(seconds=1)], 30)
