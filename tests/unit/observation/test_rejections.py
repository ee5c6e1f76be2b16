"""The requests that pods rejected between two looks."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_operator.observation import rejections
from fastapi_operator.observation.reading import Source
from fastapi_operator.observation.rejections import Counts, Overload, Rejections

PROXY = Source("shop-proxy-1")
PAGE = """\
# TYPE fastapi_proxy_request_duration_seconds histogram
fastapi_proxy_request_duration_seconds_bucket{http_response_status_code="200",le="0.005"} 3
fastapi_proxy_request_duration_seconds_count{http_response_status_code="200"} 900
fastapi_proxy_request_duration_seconds_count{http_response_status_code="503"} 100
fastapi_proxy_shed_total{reason="pods"} 60
fastapi_proxy_shed_total{reason="proxy"} 10
fastapi_proxy_shed_total{reason="rate"} 30
"""
BEFORE = Counts(PROXY, 100.0, 1000, 70)


def found(rejected: float, requests: float = 1000, until: float = 400.0) -> Rejections:
    return Rejections(until, 300.0, 1, requests, rejected)


def test_requests_of_clients_that_exceed_their_rate_are_no_overload() -> None:
    assert rejections.of_proxy(PAGE, PROXY, 100.0) == BEFORE


def test_a_page_without_counts_of_requests_is_none() -> None:
    assert rejections.of_proxy("caddy_http_requests_total 5\n", PROXY, 100.0) is None


@settings(max_examples=30)
@given(st.text() | st.lists(st.sampled_from(list(rejections.NAMES))).map(" ".join))
def test_no_page_of_a_pod_is_an_error(text: str) -> None:
    read = rejections.of_proxy(text, PROXY, 10.0)
    assert read is None or read.requests >= 0


def test_the_requests_between_two_looks_are_counted() -> None:
    after = dataclasses.replace(BEFORE, at=400.0, requests=3000, rejected=170)
    gained = rejections.between(BEFORE, after)
    assert gained == Rejections(400.0, 300.0, 1, 2000, 100)
    assert gained.share == 0.05
    both = rejections.total((gained, None, found(50)))
    assert both == Rejections(400.0, 300.0, 2, 3000, 150)
    assert rejections.total((None,)) is None


def test_nothing_follows_from_a_replaced_container_or_a_missed_look() -> None:
    after = dataclasses.replace(BEFORE, at=400.0, requests=3000)
    for changes in (
        {"source": dataclasses.replace(PROXY, restarts=1)},
        {"source": Source("shop-proxy-2")},
        {"requests": 10},
        {"at": 1100.0},
        {"at": 100.0},
    ):
        assert rejections.between(BEFORE, dataclasses.replace(after, **changes)) is None, changes


def test_the_state_is_that_of_either_gate_by_the_bound_of_the_alert() -> None:
    assert Overload().state == "Unknown"
    assert Overload(found(0, requests=0)).state == "False"
    assert Overload(found(10), found(10)).state == "False"
    assert Overload(found(0), found(11)).state == "True"
    assert Overload(found(11), None).state == "True"


def test_counts_are_unknown_after_a_quarter_of_an_hour() -> None:
    overload = Overload(found(500), found(0, until=1200.0))
    assert overload.at(1300.0) == overload
    assert overload.at(1301.0).state == "False"
    assert overload.at(2101.0) == Overload()
