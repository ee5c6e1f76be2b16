"""Counters, gauges and histograms over a window, from a page and from Prometheus."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_operator.observability.samples import Histogram, Scrape, Window, read_matrix, read_page

PAGE = """\
# HELP requests_total How many.
# TYPE requests_total counter
requests_total{route="/a"} 3
requests_total{route="/b, \\"quoted\\""} 4.0
# TYPE python_info gauge
python_info{version="3.14"} 1
"""


def window(*readings: dict[str, float], step: float = 10) -> Window:
    return Window(
        [
            Scrape(step * index, {(name, frozenset()): value for name, value in values.items()})
            for index, values in enumerate(readings)
        ]
    )


def test_only_requested_metrics_of_a_page_are_parsed() -> None:
    scrape = read_page(PAGE, 7.0, ("requests",))
    assert scrape.at == 7.0
    assert scrape.values == {
        ("requests_total", frozenset({("route", "/a")})): 3,
        ("requests_total", frozenset({("route", '/b, "quoted"')})): 4,
    }


def test_an_invalid_page_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"requests|<html>|could not"):
        read_page("requests_total{route= oops", 0, ("requests",))


def test_a_window_needs_two_scrapes() -> None:
    with pytest.raises(ValueError, match="two scrapes"):
        Window([Scrape(0, {})])


@given(
    before=st.lists(st.integers(0, 100), min_size=1, max_size=5),
    after=st.lists(st.integers(0, 100), min_size=1, max_size=5),
)
def test_a_counter_increases_across_restarts(before: list[int], after: list[int]) -> None:
    # Each part counts from its first scrape; the second process starts at zero.
    first = [sum(before[: index + 1]) for index in range(len(before))]
    second = [sum(after[: index + 1]) for index in range(len(after))]
    readings = [{"c": float(value)} for value in (*first, *second)]
    gained = window(*readings).increase("c")
    counted = first[-1] - first[0] + second[-1]
    # If the second process has counted more than the first, the restart is not visible and the
    # increase is smaller.
    assert gained == (counted if second[0] < first[-1] else second[-1] - first[0])


def test_a_counter_that_appears_later_counts_from_zero() -> None:
    seen = window({"other": 1}, {"c": 5, "other": 1})
    assert seen.increase("c") == 5
    assert seen.rate("c") == 0.5
    assert not seen.has("absent")
    assert seen.increase("absent") == 0


def test_gauges_have_a_mean_and_a_peak() -> None:
    seen = window({"g": 1}, {"g": 5}, {"g": 3})
    assert (seen.mean("g"), seen.peak("g")) == (3, 5)


@given(
    st.lists(st.floats(0.001, 0.99), min_size=1, max_size=60), st.sampled_from((0.5, 0.95, 0.99))
)
def test_a_quantile_is_in_the_bucket_of_the_observation(values: list[float], q: float) -> None:
    bounds = [0.01, 0.1, 0.5, 1.0, math.inf]
    buckets = tuple((bound, float(sum(v <= bound for v in values))) for bound in bounds)
    found = Histogram(buckets, sum(values), len(values)).quantile(q)
    exact = sorted(values)[min(len(values) - 1, math.ceil(q * len(values)) - 1)]
    upper = next(bound for bound in bounds if exact <= bound)
    lower = max([0.0, *(bound for bound in bounds if bound < exact)])
    assert lower - 1e-9 <= found <= upper + 1e-9


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    buckets = ((1.0, 0.0), (math.inf, 10.0))
    assert Histogram(buckets, 50.0, 10).quantile(0.95) == 1.0
    assert Histogram((), 0.0, 0).quantile(0.95) == 0.0


def test_prometheus_and_pages_give_the_same_window() -> None:
    scraped = {"namespace": "n", "pod": "p", "instance": "1.2.3.4:9090", "job": "j"}
    series = {"metric": {"__name__": "c_total", "route": "/", **scraped}}
    found = read_matrix([series | {"values": [[10, "1"], [20, "4"]]}])
    assert Window(found["p"]).increase("c_total", route="/") == 3
    assert Window(found["p"]).seconds == 10


def test_observations_above_a_bound_are_counted_by_bucket() -> None:
    seen = Histogram(((0.01, 3.0), (0.02, 8.0), (math.inf, 10.0)), 0.2, 10.0)
    assert (seen.above(0.02), seen.above(0.015), seen.above(0.001)) == (2, 7, 10)
