"""Caddyfile, Caddy's start script and its reload sidecar, run by a real Caddy."""

import http.client
import itertools
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.observability.promql import CADDY_REQUESTS
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.resilience.client import Request
from tests.resilience.load import Load
from tests.unit.resources.caddy import Caddy
from tests.unit.resources.operands import container, eventually, files, wanted
from tests.unit.resources.pods import requests_per_pod
from tests.unit.resources.web import (
    BEHIND_INGRESS,
    Answer,
    App,
    ask,
    assert_sent_now,
    received,
)
from tests.unit.services import service

STATIC = {"static": [{"path": "/static", "directory": "/app/static"}]}


def test_configuration_is_valid_and_formatted(caddy: Caddy) -> None:
    caddy.written(proxy=STATIC)
    command = "caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile"
    valid = caddy.pod.run(*command.split())
    assert valid.returncode == 0, valid.stderr
    assert '"level":"warn"' not in valid.stderr, valid.stderr


def test_the_app_gets_the_client_and_the_host(caddy: Caddy) -> None:
    with caddy.running(exposure=BEHIND_INGRESS):
        seen = received(
            caddy.get(
                Host="shop.example.com",
                X_Forwarded_For="6.6.6.6, 198.51.100.7, 10.0.0.9",
                X_Forwarded_Proto="https",
            )
        )
        assert seen["Host"] == seen["X-Forwarded-Host"] == "shop.example.com"
        assert seen["X-Forwarded-For"] == seen["X-Real-Ip"] == "198.51.100.7"
        assert seen["X-Forwarded-Proto"] == "https"
        assert_sent_now(received(caddy.get(X_Request_Start="t=1"))["X-Request-Start"])
        assert received(caddy.get(X_Request_ID="order-1234567"))["X-Request-Id"] == "order-1234567"
        assert len(received(caddy.get(X_Request_ID='"}{"'))["X-Request-Id"]) == 36


def test_only_trusted_networks_can_name_the_client(caddy: Caddy) -> None:
    with caddy.running(proxy={"trustedNetworks": ["10.0.0.1/8"]}):
        seen = received(caddy.get(X_Forwarded_For="198.51.100.7", X_Forwarded_Proto="https"))
    assert (seen["X-Forwarded-For"], seen["X-Forwarded-Proto"]) == ("127.0.0.1", "http")


def test_each_request_of_a_client_is_counted_once(caddy: Caddy) -> None:
    with caddy.running(
        exposure={"hosts": ["example.com"], "ingress": {}, "privatePaths": ["/internal"]}
    ):
        for path in ("/", "/items", "/internal", "/items"):
            caddy.get(path)
        caddy.get("/healthz", 8081)
        metrics = caddy.get("/metrics", 8081).read().decode()
    series = re.findall(
        r"caddy_http_request_duration_seconds_count\{(.*?)\} (\d+)", metrics, re.MULTILINE
    )
    counted: Counter[str] = Counter()
    for labels, count in series:
        if CADDY_REQUESTS in labels:
            counted[labels.partition('code="')[2][:3]] += int(count)
    assert counted == {"200": 3, "404": 1}


def test_the_access_log_has_one_json_object_per_request(caddy: Caddy) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with caddy.running(exposure=BEHIND_INGRESS):
        caddy.get(
            "/items?secret=1",
            X_Forwarded_For="198.51.100.7",
            X_Request_ID="order-1234567",
            traceparent=f"00-{trace}-00f067aa0ba902b7-01",
        ).read()
        eventually(lambda: bool(caddy.log()), "the request is logged")
    (record,) = caddy.log()
    assert (record["path"], record["status"]) == ("/items", 200)
    assert (record["request_id"], record["trace_id"]) == ("order-1234567", trace)
    assert record["request"]["client_ip"] == "198.51.100.7"
    assert "secret" not in str(record)


def test_the_private_port_serves_the_kubelet_and_prometheus(caddy: Caddy) -> None:
    caddy.pod.ports[8000] = 1
    with caddy.running():
        assert caddy.get("/healthz", 8081).status == 200
        assert b"caddy_http" in caddy.get("/metrics", 8081).read()
        assert caddy.get("/").status == 502
        assert caddy.get("/config/", 8081).status == 404


def test_term_lets_requests_finish(caddy: Caddy, app: App) -> None:
    app.answers["/slow"] = Answer(delay=1)
    with caddy.running() as server:
        statuses: list[int] = []
        client = threading.Thread(target=lambda: statuses.append(caddy.get("/slow").status))
        client.start()
        eventually(lambda: app.asked == ["/slow"], "the app is asked")
        server.send_signal(signal.SIGTERM)
        client.join(10)
        assert statuses == [200]
        assert server.wait(10) == 0


def test_a_pod_that_ends_answers_on_kept_connections_before_it_closes_them(caddy: Caddy) -> None:
    with caddy.running() as server:
        kept = http.client.HTTPConnection("127.0.0.1", caddy.pod.port(8080), timeout=10)
        kept.request("GET", "/items")
        assert kept.getresponse().read()
        server.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        kept.request("GET", "/items")
        last = kept.getresponse()
        assert (last.status, last.headers["Connection"]) == (200, "close")
        assert last.read()
        assert server.wait(10) == 0


def test_before_a_reload_each_response_is_the_last_of_its_connection(caddy: Caddy) -> None:
    sidecar = container(wanted(proxy={"engine": "Caddy"}), "Deployment/shop-proxy", "reload")
    shell, option, script = sidecar["command"]
    changed = files(wanted(proxy={"engine": "Caddy"}), "shop-proxy")["Caddyfile"]
    changed = changed.replace('"ok"', '"reloaded"')
    requests = itertools.repeat(Request("list", "GET", "/items"))
    start = caddy.written()
    with (
        caddy.pod.running(shell, option, script.replace("sleep 5", "sleep 0.2")),
        caddy.pod.running(*start),
    ):
        eventually(lambda: caddy_answers(caddy) == b"ok", "Caddy listens")
        with Load("127.0.0.1", requests, rate=50, port=caddy.pod.port(8080)) as load:
            load.wait_for(50)
            caddy.pod.write("/etc/caddy", {"Caddyfile": changed})
            eventually(lambda: caddy_answers(caddy) == b"reloaded", "Caddy reloads")
            load.wait_for(len(load.answers) + 50)
    kept = [answer for answer in load.answers if not answer.new]
    # A busy machine may have 503 from Caddy, which is a response.
    broken = [answer for answer in kept if not answer.ending.outcome.isdigit()]
    # A connection that is just being opened may be dropped (docs/parts/proxy.md).
    assert [answer for answer in broken if answer.connection.startswith("kept")] == []
    closed = sum(not answer.ending.reusable for answer in kept)
    # Each of those in the three seconds before the reload.
    assert 50 < closed < len(kept)


def test_the_sidecar_reloads_a_valid_configuration_and_rejects_an_invalid_one(caddy: Caddy) -> None:
    pod = caddy.pod
    sidecar = container(wanted(proxy={"engine": "Caddy"}), "Deployment/shop-proxy", "reload")
    shell, option, script = sidecar["command"]
    start = caddy.written()
    good = files(wanted(proxy={"engine": "Caddy"}), "shop-proxy")["Caddyfile"]
    with (
        pod.running(shell, option, script.replace("sleep 5", "sleep 0.2")),
        pod.running(*start),
    ):
        eventually(lambda: caddy_answers(caddy) == b"ok", "Caddy listens")
        pod.write("/etc/caddy", {"Caddyfile": good.replace('"ok"', '"reloaded"')})
        eventually(lambda: caddy_answers(caddy) == b"reloaded", "Caddy reloads")
        pod.write("/etc/caddy", {"Caddyfile": good + "nonsense {"})
        eventually(lambda: "configuration is rejected" in pod.output(), "the sidecar rejects")
        assert caddy_answers(caddy) == b"reloaded"


def caddy_answers(caddy: Caddy) -> bytes:
    try:
        return caddy.get("/healthz", 8081).read()
    except OSError:
        return b""


def test_slow_apps_time_out_and_streams_do_not(caddy: Caddy, app: App) -> None:
    app.answers["/slow"] = Answer(delay=3)
    timeouts = {"readSeconds": 1}
    with caddy.running(proxy={"timeouts": timeouts, "streamingPaths": ["/events"]}):
        assert caddy.get("/slow").status == 504
        answer = caddy.get("/events/1", Accept_Encoding="gzip")
        assert answer.read(6) == b"first\n"
        threading.Timer(2, app.may_continue.set).start()
        assert answer.read() == b"second\n"


def test_a_client_that_does_not_complete_its_request_times_out(caddy: Caddy) -> None:
    with (
        caddy.running(proxy={"timeouts": {"clientSeconds": 1}}),
        socket.create_connection(("127.0.0.1", caddy.pod.port(8080)), timeout=5) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost")
        before = time.monotonic()
        client.recv(100)
        assert time.monotonic() - before < 4


def test_web_sockets_are_upgraded(caddy: Caddy) -> None:
    head = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with (
        caddy.running(proxy={"streamingPaths": ["/ws"]}),
        socket.create_connection(("127.0.0.1", caddy.pod.port(8080)), timeout=5) as client,
    ):
        client.sendall(head)
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        client.sendall(b"ping\n")
        assert client.recv(4096) == b"ping\n"


def test_headers_and_bodies_that_are_too_large_are_rejected(caddy: Caddy, app: App) -> None:
    with caddy.running(proxy={"maxHeaderSize": "2Ki", "maxBodySize": "1Ki"}):
        port = caddy.pod.port(8080)
        assert caddy.get(X_Long=20_000 * "a").status == 431
        assert caddy.get("/" + 20_000 * "a").status == 431
        assert ask(port, method="POST", body=2000 * b"a").status == 413
        assert ask(port, method="POST", body=1000 * b"a").status == 200


def test_static_files_are_served_without_the_app(caddy: Caddy, app: App) -> None:
    root = caddy.pod.paths["/srv/www"]
    (root / "static/css").mkdir(parents=True)
    (root / "static/app.js").write_text("let a;" + 2000 * " ")
    (root / "secret").write_text("secret")
    (root / "static/link").symlink_to(root / "secret")
    # In a pod, the copy has the same user.
    (root / "static").chmod(0o777)
    with caddy.running(proxy=STATIC):
        answer = caddy.get("/static/app.js", Accept_Encoding="gzip")
        assert answer.headers["Content-Type"].startswith("text/javascript")
        assert answer.headers["Cache-Control"] == "max-age=3600"
        assert answer.headers["Content-Encoding"] == "gzip"
        missing = caddy.get("/static/missing")
        assert (missing.status, missing.headers["Cache-Control"]) == (404, None)
        assert caddy.get("/static/css/").status == 404
        assert app.asked == []
        for path in (
            "/static/../secret",
            "/static%2f..%2fsecret",
            "/static../secret",
            "/static/link",
        ):
            assert caddy.get(path).read() != b"secret", path


@pytest.mark.parametrize(
    ("compression", "size", "encoding"),
    [({}, 2000, "gzip"), ({}, 500, None), ({"enabled": False}, 2000, None)],
)
def test_responses_above_the_minimum_size_are_compressed(
    caddy: Caddy, app: App, compression: dict[str, bool], size: int, encoding: str | None
) -> None:
    app.answers["/"] = Answer(body=size * b"a")
    with caddy.running(proxy={"compression": compression}):
        assert caddy.get(Accept_Encoding="gzip").headers["Content-Encoding"] == encoding


def test_headers_are_in_every_response(caddy: Caddy, app: App) -> None:
    app.answers["/framed"] = Answer(headers={"X-Frame-Options": "DENY", "X-Powered-By": "FastAPI"})
    app.answers["/slow"] = Answer(delay=3)
    headers = {"add": [{"name": "X-Powered-By", "value": "tea; 'strong'"}]}
    with caddy.running(
        proxy=STATIC | {"headers": headers, "timeouts": {"readSeconds": 1}},
        exposure={"hosts": ["shop.example.com"], "ingress": {}, "tls": {}},
    ):
        for path in ("/", "/static/missing", "/slow", "/framed"):
            answer = caddy.get(path, X_Forwarded_Proto="https").headers
            assert answer["X-Content-Type-Options"] == "nosniff", path
            assert answer.get_all("X-Frame-Options") in (["SAMEORIGIN"], ["DENY"]), path
            assert answer.get_all("X-Powered-By") == ["tea; 'strong'"], path
            assert answer["Strict-Transport-Security"] == "max-age=31536000", path
            assert answer["Server"] is None and answer["Via"] is None
        assert caddy.get("/framed").headers["X-Frame-Options"] == "DENY"
        assert caddy.get("/").headers["Strict-Transport-Security"] is None


def test_private_paths_return_404_and_the_root_path_is_removed(caddy: Caddy, app: App) -> None:
    with caddy.running(
        server={"rootPath": "/shop"},
        exposure={"hosts": ["example.com"], "ingress": {}, "privatePaths": ["/admin"]},
    ):
        for path in ("/shop/items?a=1", "/shop/", "/shopping", "/items", "/administration"):
            assert caddy.get(path).status == 200
        assert app.asked == ["/items?a=1", "/", "/shopping", "/items", "/administration"]
        for path in ("/shop/admin", "/admin", "/%61dmin", "//admin", "/admin%2Fx"):
            assert caddy.get(path).status == 404, path
        assert caddy.get("/x/../admin").status == 400


def test_tls_ends_at_the_proxy_behind_a_plain_load_balancer(caddy: Caddy) -> None:
    folder = caddy.pod.paths["/etc/proxy-tls"]
    request = (
        "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=shop.example.com "
        "-addext subjectAltName=DNS:shop.example.com"
    )
    subprocess.run(
        ["openssl", *request.split(), "-keyout", folder / "tls.key", "-out", folder / "tls.crt"],
        check=True,
        capture_output=True,
    )
    (folder / "tls.key").chmod(0o444)
    tls = {"secretName": "shop-tls"}
    exposure = {"hosts": ["shop.example.com"], "loadBalancer": {}, "tls": tls}
    with caddy.running(exposure=exposure):
        redirect = caddy.get("/items?a=1", Host="shop.example.com")
        assert redirect.status == 308
        assert redirect.headers["Location"] == "https://shop.example.com/items?a=1"
        assert received(caddy.get(Host="shop.team-a.svc"))["X-Forwarded-Proto"] == "http"
        context = ssl.create_default_context(cafile=folder / "tls.crt")
        plain = socket.create_connection(("127.0.0.1", caddy.pod.port(8443)), timeout=5)
        with context.wrap_socket(plain, server_hostname="shop.example.com") as client:
            client.sendall(b"GET / HTTP/1.0\r\nHost: shop.example.com\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert b'"X-Forwarded-Proto": "https"' in answer
    assert b"Strict-Transport-Security" in answer


@pytest.mark.parametrize(
    ("proxy", "path"),
    [
        ({"cache": {"routes": [{"path": "/items", "seconds": 1}]}}, "spec.proxy.cache"),
        ({"rateLimit": {"requestsPerSecond": 1}}, "spec.proxy.rateLimit"),
    ],
)
def test_an_option_that_caddy_does_not_support_is_a_problem(
    proxy: dict[str, object], path: str
) -> None:
    plan = derive(service(proxy=proxy | {"engine": "Caddy"}), Settings(), Facts())
    assert [problem.path for problem in plan.problems] == [path]


def test_processes_of_the_app_get_the_same_number_of_requests(caddy: Caddy, app: App) -> None:
    counted = requests_per_pod(caddy, app.port)
    assert max(counted) <= 1.1 * min(counted), counted


def test_requests_that_no_pod_can_take_get_503_at_once(caddy: Caddy, app: App) -> None:
    app.answers["/slow"] = Answer(delay=2)
    limits = {"maxConnectionsPerPod": 6, "streamingPaths": ["/events"]}
    with caddy.running(proxy=limits), ThreadPoolExecutor(20) as clients:
        streams = list(clients.map(lambda _: caddy.get("/events"), range(10)))
        assert {stream.status for stream in streams} == {200}
        began = time.monotonic()
        slow = clients.map(lambda _: (caddy.get("/slow"), time.monotonic() - began), range(10))
        rejected = [(answer, seconds) for answer, seconds in slow if answer.status == 503]
        # Half of the limit: there are two pods of the proxy. Caddy counts a request after it has
        # chosen the pod, so that one of two at the same moment can pass too.
        assert len(rejected) in (6, 7)
        for answer, seconds in rejected:
            assert (answer.headers["Retry-After"], answer.headers["X-Frame-Options"]) == (
                "1",
                "SAMEORIGIN",
            )
            assert seconds < 1
        app.may_continue.set()


def test_requests_with_priority_get_a_slot_when_all_others_are_used(caddy: Caddy, app: App) -> None:
    app.answers["/slow"] = app.answers["/orders/7/payment"] = Answer(delay=3)

    def pays(number: int) -> int:
        # One after the other, since Caddy counts a request after it has chosen the pod.
        time.sleep(number / 20)
        return caddy.get("/orders/7/payment").status

    server = {"priorities": ["/orders/{order_id}/payment"]}
    with (
        caddy.running(proxy={"maxConnectionsPerPod": 16}, server=server),
        ThreadPoolExecutor(20) as clients,
    ):
        slow = clients.map(lambda _: caddy.get("/slow").status, range(8))
        time.sleep(0.5)
        assert caddy.get("/").status == 503
        # Half of 16, from two proxy pods.
        assert sorted(clients.map(pays, range(6))) == 4 * [200] + 2 * [503]
        assert set(slow) == {200}
        # If no slot is used, the reserve is free as well.
        assert sorted(clients.map(pays, range(16))) == 12 * [200] + 4 * [503]


def test_a_dead_pod_costs_no_request(caddy: Caddy, app: App) -> None:
    caddy.dns.addresses = ("127.0.0.1", "127.0.0.3")
    with caddy.running():
        for _ in range(30):
            assert ask(caddy.pod.port(8080), method="POST", body=b"{}").status == 200
