"""The arithmetic behind the verdicts of the serving benchmark."""

import pytest

from tests.benchmarks.serving.ratios import Ratio, ratio
from tests.benchmarks.serving.tables import verdict


def test_the_ratio_of_pairs_is_their_geometric_mean() -> None:
    found = ratio([200, 50], [100, 100])
    assert found.mean == pytest.approx(1)
    assert found.low < 0.1
    assert found.high > 10


def test_the_interval_is_students() -> None:
    # Of logarithms 0 and 0.2: mean 0.1, standard error 0.1, t 12.71 with one degree of freedom.
    found = ratio([1, 1.2214028], [1, 1])
    assert found.mean == pytest.approx(1.1051709)
    assert found.low == pytest.approx(0.3100, abs=1e-3)
    assert found.high == pytest.approx(3.940, abs=1e-2)


def test_pairs_that_agree_are_sure() -> None:
    found = ratio([110, 220, 330], [100, 200, 300])
    assert (found.low, found.high) == (pytest.approx(1.1), pytest.approx(1.1))
    assert found.half_width == pytest.approx(0)


def test_one_pair_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="two"):
        ratio([1], [1])


SURE = Ratio(1, 0.98, 1.02)


@pytest.mark.parametrize(
    ("throughput", "p99", "noise", "expected"),
    [
        (Ratio(0.97, 0.95, 0.99), SURE, SURE, "met"),
        (Ratio(0.93, 0.90, 0.95), Ratio(1.4, 1.25, 1.6), SURE, "met"),
        (Ratio(0.90, 0.86, 0.94), SURE, SURE, "not met"),
        (SURE, Ratio(1.4, 1.3, 1.5), SURE, "not met"),
        (SURE, SURE, Ratio(1, 0.94, 1.06), "inconclusive: the A/A spread exceeds 5 %"),
    ],
)
def test_a_verdict_asks_throughput_tail_and_noise(
    throughput: Ratio, p99: Ratio, noise: Ratio, expected: str
) -> None:
    assert verdict(throughput, p99, noise) == expected
