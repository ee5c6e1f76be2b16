"""Traces, metrics and errors are sent if environment variables are set, here to an HTTP server that
stores them."""

from __future__ import annotations

import gzip
import http.server
import threading
import time
from collections.abc import Callable, Iterator

import httpx2
import pytest
from fastapi_operator_runtime import testing
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(http.server.ThreadingHTTPServer):
    """Stores the body of every POST by path. With `api_key`, it rejects requests without it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Keeper)
        self.api_key: str | None = None
        self.received: dict[str, list[bytes]] = {}
        self.refused: list[str] = []


class Keeper(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.server.api_key in (None, self.headers.get("api-key")):
            self.server.received.setdefault(self.path, []).append(body)
            self.send_response(200)
        else:
            self.server.refused.append(self.path)
            self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Logs nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_traces_and_metrics_are_sent_and_logs_have_the_trace_id(
    environment: dict[str, str], collector: Collector
) -> None:
    otel = {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
    }
    with testing.AppServer("shop.main:app", environment={**environment, **otel}) as server:
        httpx2.get(f"{server.url}/readyz")
        headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        httpx2.get(f"{server.url}/items/1", headers=headers)
        until(lambda: "/v1/traces" in collector.received and "/v1/metrics" in collector.received)
        until(lambda: any(line["message"] == "request" for line in server.log_lines()))
        line = next(line for line in server.log_lines() if line["message"] == "request")
    spans = [
        span
        for body in collector.received["/v1/traces"]
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    request = [span for span in spans if span.name == "GET /items/{item_id}"]
    assert len(request) == 1
    assert request[0].trace_id.hex() == TRACE
    assert not [span for span in spans if "readyz" in str(span)], "probes are not traced"
    assert line["trace_id"] == TRACE
    assert line["span_id"] == request[0].span_id.hex()
    names = {
        metric.name
        for body in collector.received["/v1/metrics"]
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert "http.server.request.duration" in names


KEY = "NRAL-hunter2"
"""An example of a New Relic licence key."""


@pytest.mark.parametrize(
    ("required", "headers"),
    [
        pytest.param(None, {}, id="Datadog's Agent: no key"),
        pytest.param(KEY, {"OTEL_EXPORTER_OTLP_HEADERS": f"api-key={KEY}"}, id="New Relic: a key"),
    ],
)
def test_a_vendor_receives_traces_and_metrics_with_only_the_environment_set(
    environment: dict[str, str],
    collector: Collector,
    required: str | None,
    headers: dict[str, str],
) -> None:
    collector.api_key = required
    with vendor_server(environment, collector, headers) as server:
        assert httpx2.get(f"{server.url}/items/1").status_code == 404
        until(lambda: {"/v1/traces", "/v1/metrics"} <= collector.received.keys())
        output = server.log_path.read_text()
    assert collector.refused == []
    assert KEY not in output
    kinds = {
        metric.histogram.aggregation_temporality
        for body in collector.received["/v1/metrics"]
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.HasField("histogram")
    }
    assert kinds == {AGGREGATION_TEMPORALITY_DELTA}


def test_a_wrong_key_fails_no_request_and_is_not_logged(
    environment: dict[str, str], collector: Collector
) -> None:
    collector.api_key = "another"
    wrong = {"OTEL_EXPORTER_OTLP_HEADERS": f"api-key={KEY}"}
    with vendor_server(environment, collector, wrong) as server:
        assert httpx2.get(f"{server.url}/items/1").status_code == 404
        until(lambda: {"/v1/traces", "/v1/metrics"} <= set(collector.refused))
        assert httpx2.get(f"{server.url}/items/1").status_code == 404
        until(lambda: "403" in server.log_path.read_text())
        output = server.log_path.read_text()
    assert collector.received == {}
    assert KEY not in output


def vendor_server(
    environment: dict[str, str], collector: Collector, headers: dict[str, str]
) -> testing.AppServer:
    """The shop with the variables of its README for Datadog and New Relic, and debug logs."""
    otel = {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
        "LOG_LEVEL": "debug",
    }
    return testing.AppServer("shop.main:app", environment={**environment, **otel, **headers})


def test_an_error_is_reported_without_secrets(
    environment: dict[str, str], collector: Collector
) -> None:
    sentry = {
        "SENTRY_DSN": f"http://key@127.0.0.1:{collector.server_port}/1",
        "SENTRY_RELEASE": "shop@1.2.3",
        "LABS": "true",
    }
    with testing.AppServer("shop.main:app", environment={**environment, **sentry}) as server:
        headers = {"Authorization": "Bearer hunter2"}
        assert httpx2.get(f"{server.url}/labs/error", headers=headers).status_code == 500
        until(lambda: bool(collector.received))
    text = b"".join(body for bodies in collector.received.values() for body in bodies).decode()
    assert "a requested error" in text
    assert "shop@1.2.3" in text
    assert "hunter2" not in text


def test_unused_sdks_are_not_imported(environment: dict[str, str]) -> None:
    with testing.AppServer("shop.main:app", environment=environment) as server:
        maps = httpx2.get(f"{server.diagnostics_url}/debug/modules").text.split()
    assert "fastapi" in maps
    # (redis imports the OpenTelemetry SDK if it is installed.)
    assert not [name for name in maps if name.startswith(("sentry_sdk", "opentelemetry.exporter"))]
