"""nginx.conf, nginx's start script and its reload sidecar, run by a real nginx."""

import http.client
import itertools
import json
import signal
import time

from tests.resilience.client import Request
from tests.resilience.load import Load
from tests.unit.resources.nginx import Nginx
from tests.unit.resources.operands import container, eventually, files, listens, wanted
from tests.unit.resources.web import BEHIND_INGRESS, assert_sent_now, received


def test_the_configuration_is_valid_without_warnings(nginx: Nginx) -> None:
    assert nginx.tested() == (0, "")
    assert nginx.tested(proxy={"balancing": "Service"}) == (0, "")
    streams = {"streamingPaths": ["/events"]}
    assert nginx.tested(proxy=streams, exposure=BEHIND_INGRESS) == (0, "")


def test_the_app_gets_the_client_and_the_host(nginx: Nginx) -> None:
    with nginx.running(exposure=BEHIND_INGRESS):
        seen = received(
            nginx.get(
                Host="shop.example.com",
                X_Forwarded_For="6.6.6.6, 198.51.100.7, 10.0.0.9",
                X_Forwarded_Proto="https",
            )
        )
        assert seen["Host"] == seen["X-Forwarded-Host"] == "shop.example.com"
        # The last address that is not a load balancer; a client can forge the ones before it.
        assert seen["X-Forwarded-For"] == seen["X-Real-IP"] == "198.51.100.7"
        assert seen["X-Forwarded-Proto"] == "https"
        assert len(seen["X-Request-ID"]) == 32
        assert_sent_now(received(nginx.get(X_Request_Start="t=1"))["X-Request-Start"])
        assert "Connection" not in seen
        assert received(nginx.get(X_Request_ID="order-1234567"))["X-Request-ID"] == "order-1234567"
        assert len(received(nginx.get(X_Request_ID='"}{"'))["X-Request-ID"]) == 32


def test_only_trusted_networks_can_name_the_client(nginx: Nginx) -> None:
    with nginx.running(proxy={"trustedNetworks": ["10.0.0.1/8"]}):
        seen = received(nginx.get(X_Forwarded_For="198.51.100.7", X_Forwarded_Proto="https"))
        assert seen["X-Forwarded-For"] == seen["X-Real-IP"] == "127.0.0.1"
        assert seen["X-Forwarded-Proto"] == "http"
    (record,) = nginx.log()
    assert (record["client"], record["forwarded_for"]) == ("127.0.0.1", "198.51.100.7")


def test_the_access_log_has_one_json_object_per_request(nginx: Nginx) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with nginx.running(exposure=BEHIND_INGRESS):
        nginx.get(
            "/items?secret=1",
            User_Agent='a "quoted" name',
            X_Forwarded_For="198.51.100.7",
            X_Request_ID="order-1234567",
            traceparent=f"00-{trace}-00f067aa0ba902b7-01",
        ).read()
        eventually(lambda: bool(nginx.log()), "the request is logged")
    (record,) = nginx.log()
    assert record["path"] == "/items"
    assert record["status"] == "200"
    assert record["client"] == "198.51.100.7"
    assert (record["request_id"], record["trace_id"]) == ("order-1234567", trace)
    assert record["user_agent"] == 'a "quoted" name'
    assert "secret" not in json.dumps(record)


def test_the_private_port_serves_the_kubelet_without_the_app(nginx: Nginx) -> None:
    nginx.pod.ports[8000] = 1
    with nginx.running():
        assert nginx.get("/healthz", 8081).status == 200
        assert b"Active connections" in nginx.get("/stub_status", 8081).read()
        assert nginx.get("/").status == 502
        assert nginx.get("/nginx.conf", 8081).status == 404


def test_term_lets_requests_finish(nginx: Nginx) -> None:
    with nginx.running() as server:
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


def test_a_reload_serves_requests_on_kept_connections(nginx: Nginx) -> None:
    marked = files(wanted(), "shop-proxy")["nginx.conf"].replace("ok\\n", "reloaded\\n")
    with nginx.running():
        kept = http.client.HTTPConnection("127.0.0.1", nginx.pod.port(8080), timeout=10)
        kept.request("GET", "/items")
        assert kept.getresponse().read()
        nginx.pod.write("/etc/nginx", {"nginx.conf": marked})
        nginx.pod.run("nginx", "-c", "/etc/nginx/nginx.conf", "-s", "reload")
        eventually(lambda: nginx.get("/healthz", 8081).read() == b"reloaded\n", "nginx reloads")
        time.sleep(0.5)  # the old workers hear of it a tenth of a second after the new ones serve
        kept.request("GET", "/items")
        last = kept.getresponse()
        assert (last.status, last.headers["Connection"]) == (200, "close")


def test_reloads_under_load_lose_no_request(nginx: Nginx) -> None:
    requests = itertools.repeat(Request("list", "GET", "/items"))
    with (
        # The app of the test is slower than one pod must be to serve so many.
        nginx.running(proxy={"maxConnectionsPerPod": 1000}),
        Load("127.0.0.1", requests, rate=100, port=nginx.pod.port(8080)) as load,
    ):
        for _ in range(6):
            load.wait_for(len(load.answers) + 50)
            nginx.pod.run("nginx", "-c", "/etc/nginx/nginx.conf", "-s", "reload")
        load.wait_for(len(load.answers) + 50)
    assert [(it.ending, it.connection) for it in load.answers if not it.answered] == []


def test_a_pod_that_ends_answers_on_kept_connections_before_it_closes_them(nginx: Nginx) -> None:
    with nginx.running() as server:
        kept = http.client.HTTPConnection("127.0.0.1", nginx.pod.port(8080), timeout=10)
        kept.request("GET", "/items")
        assert kept.getresponse().read()
        server.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        kept.request("GET", "/items")
        last = kept.getresponse()
        assert (last.status, last.headers["Connection"]) == (200, "close")
        assert last.read()
        assert server.wait(5) == 0


def test_the_sidecar_reloads_a_valid_configuration_and_rejects_an_invalid_one(nginx: Nginx) -> None:
    pod, config = nginx.pod, files(wanted(), "shop-proxy")
    sidecar = container(wanted(), "Deployment/shop-proxy", "reload")["command"]
    script = sidecar[2].replace("nginx -t", "nginx -c /etc/nginx/nginx.conf -t")
    script = script.replace("sleep 5", "sleep 0.2")
    start = nginx.written()
    with pod.running(*sidecar[:2], script), pod.running(*start):
        eventually(lambda: listens(pod.port(8081)), "nginx listens")
        marked = config["nginx.conf"].replace("ok\\n", "reloaded\\n")
        pod.write("/etc/nginx", {"nginx.conf": marked})
        eventually(lambda: nginx.get("/healthz", 8081).read() == b"reloaded\n", "nginx reloads")
        pod.write("/etc/nginx", {"nginx.conf": marked + "nonsense;"})
        eventually(lambda: "configuration is rejected" in pod.output(), "the sidecar rejects")
        assert nginx.get("/healthz", 8081).read() == b"reloaded\n"
