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


def test_failed_tests_are_named_with_the_first_line_of_their_errors(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="3">'
        '<testcase classname="tests.a" name="test_good" />'
        '<testcase classname="tests.a" name="test_bad">'
        '<failure message="1 != 2&#10;more" /></testcase>'
        '<testcase classname="tests.b" name="test_late"><error message="Timeout" /></testcase>'
        "</testsuite></testsuites>"
    )

    assert tiers.failed_tests(report) == [
        "tests.a::test_bad: 1 != 2",
        "tests.b::test_late: Timeout",
    ]
