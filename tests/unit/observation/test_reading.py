"""The sums of a metrics page."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_operator.observation import reading
from fastapi_operator.observation.reading import Reading, Source, read

SHOP = Source("shop-1")
PAGE = """\
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{http_route="/a b",le="0.005"} 3
http_server_request_duration_seconds_bucket{http_route="/c",le="0.005"} 4
http_server_request_duration_seconds_bucket{http_route="/c",le="+Inf"} 9
http_server_request_duration_seconds_count{http_route="/a b"} 5
http_server_request_duration_seconds_count{http_route="/c"} 9
fastapi_worker_cpu_seconds_total 1.5e3
db_client_connection_count{db_client_connection_state="idle"} 7
db_client_connection_count{db_client_connection_state="used"} 2
fastapi_worker_processes nan
fastapi_worker_resident_memory_bytes -5
fastapi_worker_threads_used
"""


def page(text: str) -> Reading:
    found = read(text, SHOP, 10.0)
    assert found is not None
    return found


def test_series_of_a_metric_are_added_and_implausible_values_skipped() -> None:
    found = page(PAGE)
    assert found.get(reading.REQUESTS) == 14
    assert found.buckets[:2] == (7, 0)
    assert found.get(reading.CPU) == 1500
    assert found.get(reading.POOL_USED) == 2
    assert (found.get(reading.RESIDENT), found.get(reading.THREADS), found.workers) == (0, 0, 1)


def test_a_page_of_another_program_is_none() -> None:
    assert read("go_goroutines 5\n", SHOP, 10.0) is None


@settings(max_examples=30)
@given(st.text() | st.lists(st.sampled_from(reading.NAMES)).map('{le="'.join))
def test_no_page_of_a_pod_is_an_error(text: str) -> None:
    found = read(f"{reading.CPU} 1\n{text}", SHOP, 10.0)
    assert found is None or found.get(reading.CPU) >= 0
