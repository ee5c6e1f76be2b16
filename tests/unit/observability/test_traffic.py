"""The figures of ``measure`` for a window."""

import pytest

from fastapi_operator.api.compute import Traffic
from fastapi_operator.observability.readings import NAMES
from fastapi_operator.observability.samples import Window, read_page
from fastapi_operator.observability.traffic import measure, measurements

PAGE = """\
http_server_request_duration_seconds_bucket{{le="0.05"}} {requests}
http_server_request_duration_seconds_bucket{{le="+Inf"}} {requests}
http_server_request_duration_seconds_count {requests}
http_server_request_duration_seconds_sum {requests}
fastapi_worker_cpu_seconds_total {cpu}
fastapi_worker_threads_used {threads}
db_client_connection_use_time_seconds_sum {held}
db_client_connection_use_time_seconds_count {requests}
"""


def pod(*moments: tuple[int, float, float, float]) -> Window:
    return Window(
        [
            read_page(
                PAGE.format(requests=requests, cpu=cpu, threads=threads, held=held), 10 * at, NAMES
            )
            for at, (requests, cpu, threads, held) in enumerate(moments)
        ]
    )


def test_figures_are_per_request_and_the_peak_is_per_step() -> None:
    one = pod((0, 0, 2, 0), (100, 0.2, 2, 0.3), (400, 0.8, 2, 1.2))
    found = measure([one, one])
    assert (found.seconds, found.requests) == (20, 800)
    assert found.fields == {
        "peakRequestsPerSecond": 60,
        "p95Milliseconds": 48,
        "cpuMillisecondsPerRequest": 2,
        "blockingMillisecondsPerRequest": 100,
        "databaseMillisecondsPerRequest": 3,
    }
    Traffic.model_validate(dict(found.fields))


MORE = """\
http_server_active_requests {in_flight}
fastapi_worker_processes 2
fastapi_worker_resident_memory_bytes {memory}
fastapi_worker_shed_requests_total{{reason="queue"}} {shed}
fastapi_worker_threads_waiting 3
db_client_connection_wait_time_seconds_sum {wait}
db_client_connection_wait_time_seconds_count {requests}
"""


def busy_pod() -> Window:
    """Two workers, of which the second half of the window is the busier one."""
    pages = (
        PAGE.format(requests=5000, cpu=0, threads=2, held=0)
        + MORE.format(in_flight=4, memory=200 * 2**20, shed=0, wait=0, requests=5000),
        PAGE.format(requests=6000, cpu=2, threads=2, held=3)
        + MORE.format(in_flight=10, memory=240 * 2**20, shed=0, wait=1, requests=6000),
        PAGE.format(requests=9000, cpu=8, threads=2, held=12)
        + MORE.format(in_flight=6, memory=220 * 2**20, shed=1000, wait=4, requests=9000),
    )
    return Window([read_page(page, 10 * at, NAMES) for at, page in enumerate(pages)])


def test_all_figures_are_per_worker_with_their_evidence() -> None:
    found = measurements({"shop-a": busy_pod(), "shop-b": busy_pod()}, {"shop-a": 7200})
    values = {
        name: (item.value, item.seconds, item.count) for name, item in found.figures.present()
    }
    assert values == {
        "cpu_milliseconds_per_request": (2, 20, 8000),
        "database_milliseconds_per_request": (3, 20, 8000),
        "blocking_milliseconds_per_request": (10, 20, 8000),
        "p95_milliseconds": (47.5, 20, 8000),
        # Ten requests in the pod, two workers.
        "requests_in_flight_per_worker": (5, 20, 8000),
        # 4500 requests a worker since its start, two hours ago.
        "worker_memory_bytes": (120 * 2**20, 7200, 4500),
        # 6 s of CPU in 10 s for each pod.
        "cpu_cores_per_worker": (pytest.approx(0.3), 20, 8000),
        "peak_requests_per_second": (600, 20, 8000),
    }
    assert found.busy_share == pytest.approx(0.2)
    assert found.shed_share == pytest.approx(0.2)
    assert (found.pool_wait_milliseconds, found.threads_waiting) == (1, 3)


def test_a_service_without_threads_and_a_database_has_no_such_figures() -> None:
    found = measurements({"shop-a": pod((0, 0, 0, 0), (100, 0.2, 0, 0))}, {})
    present = dict(found.figures.present())
    assert not {"blocking_milliseconds_per_request", "worker_memory_bytes"} & present.keys()
    assert found.pool_wait_milliseconds is None


def test_unused_fields_are_absent() -> None:
    found = measure([pod((0, 0, 0, 0), (100, 0.2, 0, 0))])
    assert "blockingMillisecondsPerRequest" not in found.fields
    assert "databaseMillisecondsPerRequest" not in found.fields


def test_a_window_without_requests_is_rejected() -> None:
    with pytest.raises(ValueError, match="no request"):
        measure([pod((5, 0, 0, 0), (5, 1, 0, 0))])
    with pytest.raises(ValueError, match="no request"):
        measure([])
    with pytest.raises(ValueError, match="no request"):
        measurements({}, {})
