"""The runner of the tiers: when a run without a failed test fails."""

from pathlib import Path

from tests import tiers
from tests.long_files import LONG_FILES


def test_a_run_is_late_by_the_sum_of_its_tiers() -> None:
    outcomes = [tiers.Outcome(seconds=15 * 60), tiers.Outcome(seconds=15 * 60)]

    assert not tiers.is_late(outcomes, 30)
    assert tiers.is_late([*outcomes, tiers.Outcome(seconds=1)], 30)


def test_the_files_that_begin_exist() -> None:
    folder = Path(tiers.__file__).parent
    assert [name for name in LONG_FILES if not (folder / name).exists()] == []
