"""Pages of pods as readings of the judge."""

import pytest

from fastapi_operator.judge.counts import BOUNDS_SECONDS, Counts, Version
from fastapi_operator.judge.reading import app_counts, pod_reading, proxy_reading

NAME = "fastapi_proxy_version_request_duration_seconds"


def histogram(labels: str, requests: int, within: dict[str, int]) -> str:
    lines = [f'{NAME}_bucket{{{labels},le="{bound}"}} {number}' for bound, number in within.items()]
    return "\n".join([*lines, f"{NAME}_count{{{labels}}} {requests}", f"{NAME}_sum{{{labels}}} 1"])


def labels(step: int, version: str, status: str, canary: str = "3f9a01bc") -> str:
    return f'canary="{canary}",step="{step}",version="{version}",status="{status}"'


PAGE = "\n".join(
    (
        f"# TYPE {NAME} histogram",
        histogram(labels(1, "stable", "2xx"), 90, {"0.004": 50, "0.005": 60, "5": 90}),
        histogram(labels(1, "canary", "200"), 9, {"0.004": 5, "0.005": 9}),
        histogram(labels(1, "canary", "502"), 2, {"0.004": 0, "0.005": 1}),
        histogram(labels(2, "canary", "5xx"), 1, {"0.004": 0}),
        histogram(labels(2, "other", "200"), 7, {}),
        histogram(labels(1, "canary", "200", canary="before"), 500, {}),
        'fastapi_proxy_version_fallbacks_total{canary="3f9a01bc",step="1",version="canary"} 3',
        'fastapi_proxy_shed_total{reason="rate"} 5',
        "",
    )
)


def test_the_counts_of_both_versions_by_step() -> None:
    found = proxy_reading(PAGE, "3f9a01bc")
    assert set(found) == {1, 2}
    assert found[1].stable.requests == 90
    assert found[1].stable.errors == 0
    assert found[1].stable.slower[:2] == (40, 30)
    assert found[1].stable.slower[-1] == 0
    canary = found[1].canary
    assert (canary.requests, canary.errors, canary.fallbacks) == (11, 2, 3)
    assert canary.slower[:2] == (6, 1)
    assert found[2].stable == Counts()
    assert (found[2].canary.requests, found[2].canary.errors) == (1, 1)


def test_another_canary_has_no_counts() -> None:
    assert proxy_reading(PAGE, "unknown") == {}
    assert proxy_reading("", "3f9a01bc") == {}


@pytest.mark.parametrize("write", [str, "{:g}".format, "{:.3e}".format])
def test_bounds_are_read_as_exporters_write_them(write) -> None:
    within = {write(bound): index for index, bound in enumerate(BOUNDS_SECONDS)}
    page = histogram(labels(1, "canary", "200"), 100, within) + "\n"
    slower = proxy_reading(page, "3f9a01bc")[1].canary.slower
    assert slower == tuple(100 - index for index in range(len(BOUNDS_SECONDS)))


@pytest.mark.parametrize(
    "rest",
    [
        "_count is not a metric",
        "_count",
        '_count{version="canary"} ',
        *(f'_count{{version="canary"}} {value}' for value in ("x", "NaN", "+Inf", "-1", "1e300")),
    ],
)
def test_a_page_that_has_no_metrics_is_an_error(rest: str) -> None:
    with pytest.raises(ValueError, match=r"not a sample of a metric|could not convert"):
        proxy_reading(f"{NAME}{rest}\n", "3f9a01bc")


def test_a_sample_may_have_a_time_and_a_long_line_is_read_in_time() -> None:
    page = f"{NAME}_count{{{labels(1, 'canary', '200')}}} 7 1700000000000\n"
    assert proxy_reading(page, "3f9a01bc")[1].canary.requests == 7
    with pytest.raises(ValueError, match="not a sample"):
        proxy_reading(f"{NAME}_count{{{'} ' * 10**6}", "3f9a01bc")


def test_the_figures_of_a_pod_with_the_runtime() -> None:
    page = (
        "fastapi_worker_cpu_seconds_total 12.5\n"
        'http_server_request_duration_seconds_count{http_route="/a"} 40\n'
        'http_server_request_duration_seconds_count{http_route="/b"} 2\n'
        "fastapi_worker_resident_memory_bytes 1.2e+08\n"
        "fastapi_worker_processes 2\n"
    )
    found = pod_reading(page, version=Version.CANARY, age_seconds=60, restarts=1)
    assert (found.cpu_seconds, found.requests) == (12.5, 42)
    assert (found.memory_bytes, found.workers) == (1.2e8, 2)


@pytest.mark.parametrize("page", [None, "", "python_info 1\n"])
def test_a_pod_without_the_runtime_has_only_its_age_and_restarts(page: str | None) -> None:
    found = pod_reading(page, version=Version.STABLE, age_seconds=60, restarts=1)
    assert (found.cpu_seconds, found.requests, found.memory_bytes) == (None, None, None)
    assert (found.age_seconds, found.restarts) == (60, 1)


def test_refused_requests_are_counted_apart() -> None:
    page = "".join(
        f"{NAME}_count{{{labels(1, 'canary', status)}}} {number}\n"
        for status, number in (("2xx", 10), ("4xx", 7), ("5xx", 2))
    )
    found = proxy_reading(page, "3f9a01bc")[1].canary
    assert (found.requests, found.errors, found.refused) == (19, 2, 7)


APP = "http_server_request_duration_seconds"


def app_page(route: str, status: int, requests: int, within: dict[str, int]) -> str:
    series = f'http_request_method="GET",http_route="{route}",http_response_status_code="{status}"'
    return histogram(series, requests, within).replace(NAME, APP) + "\n"


def test_a_pod_of_the_app_counts_the_requests_of_its_version() -> None:
    page = "fastapi_worker_cpu_seconds_total 1\n" + "".join(
        (
            app_page("/a", 200, 10, {"0.005": 2, "0.01": 4, "0.025": 10, "+Inf": 10}),
            app_page("/b", 503, 3, {"0.005": 0, "0.01": 0, "0.025": 3, "+Inf": 3}),
            app_page("/b", 404, 2, {"0.005": 0, "0.01": 0, "0.025": 0, "+Inf": 2}),
            app_page("/healthz", 200, 100, {"0.005": 100, "+Inf": 100}),
        )
    )
    found = app_counts(page, {"/healthz"})
    assert found is not None
    assert (found.requests, found.errors, found.refused) == (15, 3, 2)
    slower = dict(zip(BOUNDS_SECONDS, found.slower, strict=True))
    # Exact at the bounds of its histogram, and in proportion between them.
    assert (slower[0.005], slower[0.01], slower[0.025]) == (13, 11, 2)
    assert (slower[0.016], slower[5.0]) == (7, 2)


def test_an_app_that_has_served_nothing_counts_and_one_without_the_runtime_does_not() -> None:
    assert app_counts("fastapi_worker_cpu_seconds_total 1\n") == Counts()
    assert app_counts("") is None
