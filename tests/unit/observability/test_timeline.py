"""Signals over time: rates, levels and quantiles of pods that are read at different times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_operator.facts import Facts
from fastapi_operator.observability.samples import Scrape, Window
from fastapi_operator.observability.timeline import Timeline, charts
from fastapi_operator.parts import Part
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import service
from tests.unit.views import recorded

PLAN = derive(service(postgres={}, redis={}), Settings(), Facts())


def window(*values: float, begin: float = 0.0, step: float = 10.0) -> Window:
    return Window(
        [
            Scrape(begin + step * index, {("n", frozenset()): value})
            for index, value in enumerate(values)
        ]
    )


def timeline(*windows: Window, seconds: float, count: int) -> Timeline:
    return Timeline(windows, began=0.0, seconds=seconds, count=count)


def test_a_counter_becomes_a_rate_of_all_pods_together() -> None:
    lines = timeline(window(0, 10, 40), window(5, 5, 25), seconds=20, count=2)
    assert lines.rate("n") == pytest.approx((1, 5))


def test_pods_read_at_other_times_keep_their_rate_at_both_ends() -> None:
    late = window(0, 20, 40, begin=3)
    lines = timeline(window(0, 10, 20), late, seconds=23, count=2)
    assert lines.rate("n") == pytest.approx((3, 3))


def test_a_pod_that_started_in_between_counts_from_then_on() -> None:
    lines = timeline(window(0, 10, 20), window(0, 50, begin=10), seconds=20, count=2)
    assert lines.rate("n") == pytest.approx((1, 6))
    assert lines.level("n") == pytest.approx((0 + 0, 10 + 5 + 25))


def test_a_step_without_readings_is_not_measured() -> None:
    lines = timeline(window(7, 7), seconds=30, count=3)
    assert lines.level("n") == (7, 7, None)
    assert lines.rate("n") == (0, None, None)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=20), st.integers(1, 20))
def test_the_increase_is_kept_for_every_grid(gains: list[int], count: int) -> None:
    values = [float(sum(gains[: index + 1])) for index in range(len(gains))]
    seconds = 10.0 * (len(values) - 1)
    rates = timeline(window(*values), seconds=seconds, count=count).rate("n")
    assert sum(rate or 0.0 for rate in rates) * seconds / count == pytest.approx(
        values[-1] - values[0], abs=1e-6
    )


def test_the_charts_are_those_of_the_parts_that_expose_metrics() -> None:
    found = {chart.key: chart for chart in charts(recorded.windows_of_parts(), PLAN)}
    assert list(found) == [
        "requests", "latency", "in-flight", "shed", "lag", "cpu", "threads", "pool",
        "pooler", "database", "cache",
    ]  # fmt: skip
    requests, failed = found["requests"].courses
    # Two pods, 40 requests at first and 4 more in each second; 503 from the 16th second on.
    assert requests.values[5] == pytest.approx(2 * (40 + 4 * 6), rel=0.05)
    assert failed.values[5] == 0
    assert failed.values[-1] == pytest.approx(2 * 15, rel=0.05)
    assert found["pool"].bound == 20
    assert found["database"].bound == 28
    servers = PLAN.pooler.max_db_connections.value * PLAN.pooler.instances.value
    assert found["pooler"].bound == servers
    latency = found["latency"].courses[0].values
    assert (latency[0] or 0) < 60 < (latency[-1] or 0)


def test_a_service_without_runtime_has_only_the_charts_of_its_exporters() -> None:
    windows = recorded.windows_of_parts()
    parts = {part: windows[part] for part in (Part.DATABASE, Part.CACHE)}
    assert [chart.key for chart in charts(parts, PLAN)] == ["database", "cache"]
    assert charts({}, PLAN) == ()
