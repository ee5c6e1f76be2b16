"""The figures of ``measure`` for a window."""

import pytest

from fastapi_operator.api.compute import Traffic
from fastapi_operator.observability.readings import NAMES
from fastapi_operator.observability.samples import Window, read_page
from fastapi_operator.observability.traffic import measure

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


def test_unused_fields_are_absent() -> None:
    found = measure([pod((0, 0, 0, 0), (100, 0.2, 0, 0))])
    assert "blockingMillisecondsPerRequest" not in found.fields
    assert "databaseMillisecondsPerRequest" not in found.fields


def test_a_window_without_requests_is_rejected() -> None:
    with pytest.raises(ValueError, match="no request"):
        measure([pod((5, 0, 0, 0), (5, 1, 0, 0))])
    with pytest.raises(ValueError, match="no request"):
        measure([])
