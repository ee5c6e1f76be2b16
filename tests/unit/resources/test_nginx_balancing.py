"""How nginx spreads requests over the app's pods, and rejects those that no pod can take."""

import http.client
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.resources.nameserver import Failure
from tests.unit.resources.nginx import Nginx
from tests.unit.resources.operands import eventually
from tests.unit.resources.pods import requests_per_pod
from tests.unit.resources.web import BEHIND_INGRESS, Answer, App, ask, received, serving

OTHER_POD = "127.0.0.2"
DEAD_POD = "127.0.0.3"
# Two seconds of ``valid``, and those until the DNS server is asked again after an error.
LEARNED_SECONDS = 5
EVENTS = {"streamingPaths": ["/events"]}
# Each of two proxy pods has half of it.
FOUR = {"maxConnectionsPerPod": 8}


@pytest.fixture
def other(nginx: Nginx, app: App) -> Iterator[App]:
    """A second pod of the app."""
    with serving(OTHER_POD, app.port) as other:
        nginx.dns.addresses = ("127.0.0.1", OTHER_POD)
        yield other


def _addresses(nginx: Nginx) -> list[str]:
    """The pods of each request in the log, without their port."""
    return [record["upstream"].replace(f":{nginx.pod.port(8000)}", "") for record in nginx.log()]


def _learns(nginx: Nginx) -> None:
    """Waits until nginx has asked for the pods again."""
    before = len(nginx.dns.asked)
    eventually(lambda: len(nginx.dns.asked) >= before + 4, "nginx asks again", 2 * LEARNED_SECONDS)
    time.sleep(0.1)


def test_the_pods_are_found_by_the_name_of_their_service_in_this_cluster(nginx: Nginx) -> None:
    with nginx.running():
        assert nginx.get().status == 200
    assert set(nginx.dns.asked) == {"shop-app-pods.default.svc.example.net"}


def test_processes_of_the_app_get_the_same_number_of_requests(nginx: Nginx, app: App) -> None:
    counted = requests_per_pod(nginx, app.port)
    assert max(counted) <= 1.1 * min(counted), counted


def test_a_slow_pod_gets_fewer_requests(nginx: Nginx, app: App, other: App) -> None:
    app.answers["/"], other.answers["/"] = Answer(delay=0.5), Answer(delay=0.02)
    with nginx.running(), ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda _: nginx.get().status, range(100)))
    assert len(other.asked) > 3 * len(app.asked)


def test_requests_that_no_pod_can_take_get_503_at_once(nginx: Nginx, app: App, other: App) -> None:
    app.answers["/slow"] = other.answers["/slow"] = Answer(delay=2)
    with nginx.running(proxy=FOUR), ThreadPoolExecutor(20) as clients:
        began = time.monotonic()
        slow = list(clients.map(lambda _: _timed(nginx, "/slow"), range(20)))
        rejected = [(answer, at - began) for answer, at in slow if answer.status == 503]
        # Four for each of two pods.
        assert (len(rejected), len(app.asked), len(other.asked)) == (12, 4, 4)
        for answer, seconds in rejected:
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert seconds < 1
        assert nginx.get().status == 200
    assert "no live upstreams" not in nginx.pod.output()
    assert len(nginx.log()) < 20, "rejected requests are logged by sample"


def _timed(nginx: Nginx, path: str) -> tuple[http.client.HTTPResponse, float]:
    answer = nginx.get(path)
    answer.read()
    return answer, time.monotonic()


def test_a_503_of_the_app_is_its_own(nginx: Nginx, app: App) -> None:
    app.answers["/"] = Answer(status=503)
    app.answers["/later"] = Answer(status=503, headers={"Retry-After": "30"})
    app.answers["/gateway"] = Answer(status=502, body=b"mine")
    with nginx.running():
        assert nginx.get().headers["Retry-After"] is None
        assert nginx.get("/later").headers.get_all("Retry-After") == ["30"]
        gateway = nginx.get("/gateway")
        assert (gateway.status, gateway.read()) == (502, b"mine")
    assert len(nginx.log()) == 3


def test_idle_streams_leave_room_for_other_requests(nginx: Nginx, app: App) -> None:
    limits = EVENTS | {"maxConnectionsPerPod": 2, "maxStreamsPerPod": 40}
    with nginx.running(proxy=limits), ThreadPoolExecutor(30) as clients:
        streams = list(clients.map(lambda _: nginx.get("/events"), range(30)))
        assert sorted(stream.status for stream in streams) == 20 * [200] + 10 * [503]
        assert [nginx.get().status for _ in range(10)] == 10 * [200]
        app.may_continue.set()


def test_requests_with_priority_get_a_slot_when_all_others_are_used(
    nginx: Nginx, app: App, other: App
) -> None:
    """They use the slots of all requests first, so that a reserve is free for them alone."""
    for pod in (app, other):
        pod.answers["/slow"] = pod.answers["/orders/7/payment"] = Answer(delay=2)
    server = {"priorities": ["/orders/{order_id}/payment", "/rates"], "rootPath": "/shop"}
    proxy = FOUR | {"cache": {"routes": [{"path": "/rates", "seconds": 10}]}}
    with nginx.running(proxy=proxy, server=server), ThreadPoolExecutor(20) as clients:
        slow = clients.map(lambda _: _timed(nginx, "/shop/slow")[0].status, range(8))
        time.sleep(0.5)
        assert nginx.get("/shop/").status == 503
        for method, body in (("GET", None), ("POST", b"paid")):
            path = "/shop/orders/a%20b/payment/1%2F2?x=1"
            answer = ask(nginx.pod.port(8080), path, method, body)
            seen = received(answer)
            # The app's server adds its root path, which nginx removes.
            assert (seen["path"], seen.get("Content-Length")) == (
                "/orders/a%20b/payment/1%2F2?x=1",
                body and "4",
            )
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert [nginx.get("/shop/rates").status for _ in range(2)] == [200, 200]
        # The reserve of each pod is half of 8, from two proxy pods.
        paid = clients.map(lambda _: _timed(nginx, "/shop/orders/7/payment")[0], range(6))
        found = list(paid)
        assert sorted(answer.status for answer in found) == 4 * [200] + 2 * [503]
        rejected = [answer.headers["Retry-After"] for answer in found if answer.status == 503]
        assert rejected == ["1", "1"]
        assert set(slow) == {200}
        # If no slot is used, the reserve is free as well.
        paid = clients.map(lambda _: _timed(nginx, "/shop/orders/7/payment")[0].status, range(14))
        assert sorted(paid) == 12 * [200] + 2 * [503]


def test_a_request_with_priority_that_a_pod_has_got_is_not_repeated(nginx: Nginx, app: App) -> None:
    app.answers["/pay"] = Answer(status=502, body=b"mine")
    with nginx.running(server={"priorities": ["/pay", "/broken"]}):
        answer = ask(nginx.pod.port(8080), "/pay", "POST", b"{}")
        assert (answer.status, answer.read()) == (502, b"mine")
        answer = ask(nginx.pod.port(8080), "/broken", "POST", b"{}")
        assert (answer.status, answer.headers["Retry-After"]) == (502, None)
    assert app.asked == ["/pay", "/broken"]


def test_a_pod_that_left_gets_no_requests_and_a_new_one_gets_its_share(
    nginx: Nginx, app: App
) -> None:
    with nginx.running():
        assert nginx.get().status == 200
        with serving(OTHER_POD, app.port) as other:
            nginx.dns.addresses = [OTHER_POD]
            _learns(nginx)
            for _ in range(5):
                assert nginx.get().status == 200
            assert (len(app.asked), len(other.asked)) == (1, 5)


def test_a_connection_in_use_is_kept_until_its_pod_leaves(nginx: Nginx, app: App) -> None:
    with nginx.running():
        _ask_steadily(nginx)
        assert len(app.connections) == 1
        with serving(OTHER_POD, app.port) as other:
            nginx.dns.addresses = [OTHER_POD]
            # The connection to the pod that left is never idle for long enough to be closed.
            eventually(
                lambda: nginx.get().status == 200 and bool(other.asked), "it left", LEARNED_SECONDS
            )
            before = len(app.asked)
            assert [nginx.get().status for _ in range(20)] == [200] * 20
            assert len(app.asked) == before


def test_a_connection_to_a_service_leads_to_another_pod_soon(nginx: Nginx, app: App) -> None:
    with nginx.running(proxy={"balancing": "Service"}):
        _ask_steadily(nginx)
        assert len(app.connections) > 1


def _ask_steadily(nginx: Nginx) -> None:
    """Sends requests for longer than the connection to the app may be idle."""
    end = time.monotonic() + 6
    while time.monotonic() < end:
        assert nginx.get().status == 200
        time.sleep(0.1)


@pytest.mark.parametrize("failure", [Failure.SERVER, "silence"])
def test_pods_are_kept_while_dns_fails(nginx: Nginx, failure: Failure | str) -> None:
    with nginx.running():
        if failure == "silence":
            nginx.dns.stop()
        else:
            nginx.dns.failure = Failure.SERVER
        time.sleep(LEARNED_SECONDS)
        assert nginx.get().status == 200


@pytest.mark.parametrize("failure", [None, Failure.NO_SUCH_NAME])
def test_without_a_ready_pod_requests_get_503(nginx: Nginx, failure: Failure | None) -> None:
    with nginx.running():
        nginx.dns.addresses, nginx.dns.failure = (), failure
        _learns(nginx)
        answer = nginx.get()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        nginx.dns.addresses, nginx.dns.failure = ["127.0.0.1"], None
        eventually(lambda: nginx.get().status == 200, "the pod is back", LEARNED_SECONDS)


def test_nginx_starts_without_dns_and_finds_the_pods_later(nginx: Nginx) -> None:
    nginx.dns.stop()
    with nginx.running():
        assert nginx.get().status == 503
        assert nginx.get("/healthz", 8081).status == 200
        nginx.dns.start()
        eventually(lambda: nginx.get().status == 200, "the pods are known", 2 * LEARNED_SECONDS)


def test_a_reload_keeps_the_known_pods(nginx: Nginx) -> None:
    with nginx.running():
        nginx.dns.stop()
        nginx.pod.run("nginx", "-c", "/etc/nginx/nginx.conf", "-s", "reload")
        for _ in range(20):
            assert nginx.get().status == 200
            time.sleep(0.1)


def test_a_dead_pod_costs_no_request_and_is_rarely_tried(
    nginx: Nginx, app: App, other: App
) -> None:
    nginx.dns.addresses = ("127.0.0.1", OTHER_POD, DEAD_POD)
    with nginx.running():
        for _ in range(60):
            assert ask(nginx.pod.port(8080), method="POST", body=b"{}").status == 200
    tried = [addresses for addresses in _addresses(nginx) if DEAD_POD in addresses]
    assert 1 <= len(tried) <= 5


def test_a_pod_without_a_network_delays_few_requests(nginx: Nginx, app: App) -> None:
    with socket.socket() as deaf:
        deaf.bind((OTHER_POD, app.port))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex((OTHER_POD, app.port))
        nginx.dns.addresses = ("127.0.0.1", OTHER_POD)
        with (
            nginx.running(proxy={"timeouts": {"connectSeconds": 1}}),
            ThreadPoolExecutor(4) as clients,
        ):
            assert set(clients.map(lambda _: nginx.get().status, range(200))) == {200}
        for filler in fillers:
            filler.close()
    tried = [addresses for addresses in _addresses(nginx) if OTHER_POD in addresses]
    assert 1 <= len(tried) <= 8


def test_if_all_pods_are_dead_the_log_names_one(nginx: Nginx) -> None:
    nginx.dns.addresses = [DEAD_POD]
    with nginx.running():
        answer = nginx.get()
        assert (answer.status, answer.headers["Retry-After"]) == (502, None)
    assert _addresses(nginx) == [DEAD_POD]


def test_slow_bodies_stop_neither_probes_nor_other_requests(nginx: Nginx, app: App) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
    with nginx.running():
        port = nginx.pod.port(8080)
        slow = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(9000)]
        for client in slow:
            client.sendall(head)
        for _ in range(10):
            began = time.monotonic()
            assert nginx.get("/healthz", 8081).status == 200
            assert nginx.get().status == 200
            assert time.monotonic() - began < 2
        slow[-1].settimeout(5)
        assert slow[-1].recv(100).startswith(b"HTTP/1.1 503")
        for client in slow:
            client.close()


def test_one_client_cannot_take_all_requests_if_its_address_is_proven(
    nginx: Nginx, app: App
) -> None:
    app.answers["/slow"] = Answer(delay=2)
    proxy = {"maxRequestsPerClient": 3}
    with (
        nginx.running(proxy=proxy, exposure=BEHIND_INGRESS),
        ThreadPoolExecutor(14) as clients,
    ):
        named = clients.map(
            lambda _: nginx.get("/slow", X_Forwarded_For="198.51.100.7").status, range(7)
        )
        # Without a proxy in front, all have the address of the connection.
        unnamed = clients.map(lambda _: nginx.get("/slow").status, range(7))
        time.sleep(0.5)
        assert nginx.get(X_Forwarded_For="198.51.100.8").status == 200
        assert sorted(named) == 3 * [200] + 4 * [503]
        assert set(unnamed) == {200}


def test_through_a_service_its_address_is_used(nginx: Nginx, app: App) -> None:
    with nginx.running(proxy={"balancing": "Service"}):
        assert nginx.get().status == 200
        assert nginx.dns.asked == []
