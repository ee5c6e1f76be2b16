"""How nginx divides the requests between the stable version and a canary, and counts both."""

import dataclasses
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fastapi_operator.judge.counts import Counts, Versions
from fastapi_operator.judge.reading import proxy_reading
from fastapi_operator.resources.stage import Stage
from tests.resilience.client import Request
from tests.resilience.load import Load
from tests.unit.resources.nginx import Nginx
from tests.unit.resources.operands import eventually
from tests.unit.resources.web import BEHIND_INGRESS, Answer, App, ask, received, serving

CANARY_POD = "127.0.0.2"
DEAD_POD = "127.0.0.3"
SERVICE = "shop-canary-pods"
# Two seconds of ``valid``, and those until the DNS server is asked again after an error.
LEARNED_SECONDS = 5
STAGE = Stage(canary="3f9a01bc", step=2, percent=100, replicas=1)
STICKY = {"stickiness": {"mode": "Header", "header": "X-User"}}
TESTED = {"versionHeader": "X-Version"}


@pytest.fixture
def canary(nginx: Nginx, app: App) -> Iterator[App]:
    """A pod of the canary, which gets all requests unless the stage has another share."""
    with serving(CANARY_POD, app.port) as canary:
        nginx.dns.of_service[SERVICE] = (CANARY_POD,)
        yield canary


def versioned(percent: int = 100, canary: dict[str, Any] | None = None, **spec: Any) -> Any:
    """The arguments of a service with a canary at a share."""
    stage = dataclasses.replace(STAGE, percent=percent)
    return {"stage": stage, "rollout": {"canary": canary or {}}, **spec}


def _reload(nginx: Nginx, **arguments: Any) -> None:
    """Reads a changed configuration, and waits until no process has the old one."""
    nginx.written(**arguments)
    before = len(nginx.dns.asked)
    result = nginx.pod.run("nginx", "-c", "/etc/nginx/nginx.conf", "-s", "reload")
    assert result.returncode == 0, result.stderr
    eventually(lambda: len(nginx.dns.asked) > before, "the new processes ask for the pods")
    time.sleep(0.3)


@pytest.mark.parametrize(
    "arguments",
    [
        versioned(0),
        versioned(5, STICKY | TESTED),
        versioned(25, {"stickiness": {"mode": "Client"}} | TESTED, exposure=BEHIND_INGRESS),
        versioned(
            50, STICKY, exposure=BEHIND_INGRESS, proxy={"rateLimit": {"requestsPerSecond": 9}}
        ),
        versioned(
            proxy={
                "streamingPaths": ["/events"],
                "cache": {"routes": [{"path": "/rates", "seconds": 10}]},
            },
            server={"priorities": ["/pay", "/rates"], "rootPath": "/shop"},
        ),
        versioned(5, TESTED, proxy={"balancing": "Service"}),
    ],
)
def test_the_configuration_is_valid_without_warnings(
    nginx: Nginx, arguments: dict[str, Any]
) -> None:
    assert nginx.tested(**arguments) == (0, "")


def test_each_version_gets_its_share(nginx: Nginx, app: App, canary: App) -> None:
    with nginx.running(**versioned(25)), ThreadPoolExecutor(4) as clients:
        assert set(clients.map(lambda _: nginx.get().status, range(2000))) == {200}
    assert len(app.asked) + len(canary.asked) == 2000
    # Five times the standard deviation of a random share.
    assert abs(len(canary.asked) - 500) < 97


def _served_by(canary: App, nginx: Nginx, users: range) -> set[int]:
    """The users whose request the canary serves."""
    canary.asked.clear()
    for user in users:
        assert nginx.get(f"/{user}", X_User=f"user-{user}").status == 200
    return {int(path[1:]) for path in canary.asked}


def test_a_larger_share_moves_no_client_back(nginx: Nginx, canary: App) -> None:
    users, before = range(300), set[int]()
    with nginx.running(**versioned(0, STICKY)):
        assert _served_by(canary, nginx, users) == set()
        for percent in (5, 25, 50, 100):
            _reload(nginx, **versioned(percent, STICKY))
            found = _served_by(canary, nginx, users)
            assert before <= found, f"at {percent} %"
            assert abs(len(found) - 3 * percent) < 50
            before = found
        assert before == set(users)


def test_the_next_canary_gets_other_clients(nginx: Nginx, canary: App) -> None:
    arguments = versioned(25, STICKY)
    with nginx.running(**arguments):
        first = _served_by(canary, nginx, range(200))
        assert _served_by(canary, nginx, range(200)) == first
        arguments["stage"] = dataclasses.replace(arguments["stage"], canary="00c0ffee")
        _reload(nginx, **arguments)
        assert len(_served_by(canary, nginx, range(200)) & first) < 0.7 * len(first)


def test_a_client_stays_with_its_version(nginx: Nginx, canary: App) -> None:
    with nginx.running(**versioned(50, exposure=BEHIND_INGRESS)):
        for client in range(60):
            for _ in range(3):
                address = f"198.51.100.{client}"
                assert nginx.get(f"/{client}", X_Forwarded_For=address).status == 200
    served = {path: canary.asked.count(path) for path in canary.asked}
    assert set(served.values()) == {3}
    assert 10 < len(served) < 50


def test_a_tester_chooses_a_version_and_sees_it(nginx: Nginx, app: App, canary: App) -> None:
    with nginx.running(**versioned(50, TESTED)):
        for version, served in (("canary", canary), ("stable", app)):
            served.asked.clear()
            for _ in range(20):
                answer = nginx.get(X_Version=version)
                assert answer.headers.get_all("X-Version") == [version]
                assert received(answer)["X-Version"] == version
            assert len(served.asked) == 20
        assert nginx.get().headers["X-Version"] is None
        assert "X-Version" not in received(nginx.get(X_Version="newest"))
        nginx.dns.of_service[SERVICE] = ()
        eventually(
            lambda: nginx.get(X_Version="canary").headers["X-Version"] == "stable",
            "the canary has no pod",
            2 * LEARNED_SECONDS,
        )


def test_other_clients_cannot_choose_a_version(nginx: Nginx, canary: App) -> None:
    with nginx.running(**versioned(0, TESTED, exposure=BEHIND_INGRESS)):
        for name in ("X-Version", "X_Version"):
            answer = ask(
                nginx.pod.port(8080), **{name: "canary", "X_Forwarded_For": "198.51.100.7"}
            )
            assert answer.headers["X-Version"] is None
            assert not {"X-Version", "X_Version"} & set(received(answer))
        assert canary.asked == []
        assert nginx.get(X_Version="canary", X_Forwarded_For="10.0.0.7").status == 200
        assert len(canary.asked) == 1


def test_without_a_canary_the_version_header_is_removed(nginx: Nginx) -> None:
    with nginx.running(rollout={"canary": TESTED}):
        assert "X-Version" not in received(nginx.get(X_Version="canary"))


@pytest.mark.parametrize("addresses", [(), None])
def test_a_canary_that_lost_its_pods_costs_no_request(
    nginx: Nginx, app: App, canary: App, addresses: tuple[str, ...] | None
) -> None:
    """An abort empties the Service. DNS returns no address, or that there is no such name."""
    with nginx.running(**versioned()):
        assert nginx.get().status == 200
        nginx.dns.of_service[SERVICE] = addresses
        end = time.monotonic() + LEARNED_SECONDS
        while time.monotonic() < end:
            for method in ("GET", "POST"):
                assert ask(nginx.pod.port(8080), method=method, body=b"{}").status == 200
            time.sleep(0.05)
        assert canary.asked
        canary.asked.clear()
        for method in ("GET", "POST"):
            answer = ask(nginx.pod.port(8080), method=method, body=b'{"paid": 1}')
            assert received(answer)["Content-Length"] == "11"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert canary.asked == []
    *_, last = nginx.log()
    assert (last["version"], last["fallback"], last["status"]) == ("canary", "unavailable", "200")
    assert "no live upstreams" not in nginx.pod.output()


def test_no_request_is_lost_while_a_share_grows_and_is_aborted(
    nginx: Nginx, app: App, canary: App
) -> None:
    requests = itertools.cycle(
        (Request("list", "GET", "/items"), Request("order", "POST", "/orders", b"{}"))
    )
    # The apps of the test are slower than one pod must be to serve so many.
    limits = {"proxy": {"maxConnectionsPerPod": 1000}}
    with (
        nginx.running(**versioned(0, **limits)),
        Load("127.0.0.1", requests, rate=100, port=nginx.pod.port(8080)) as load,
    ):
        for percent in (5, 50, 100):
            _reload(nginx, **versioned(percent, **limits))
            load.wait_for(len(load.answers) + 100)
        assert len(canary.asked) > 100
        # The Service is emptied, its pods end, and only then nginx reads the configuration.
        nginx.dns.of_service[SERVICE] = ()
        time.sleep(LEARNED_SECONDS)
        canary.shutdown()
        canary.server_close()
        load.wait_for(len(load.answers) + 100)
        _reload(nginx, rollout={"canary": {}}, **limits)
        load.wait_for(len(load.answers) + 100)
    assert [(it.ending, it.connection) for it in load.answers if not it.answered] == []
    assert len(load.answers) > 1000


def test_a_full_canary_leaves_requests_to_the_stable_version(
    nginx: Nginx, app: App, canary: App
) -> None:
    canary.answers["/"] = Answer(delay=2)
    limits = {"maxConnectionsPerPod": 8}
    with nginx.running(**versioned(proxy=limits)), ThreadPoolExecutor(8) as clients:
        assert set(clients.map(lambda _: nginx.get().status, range(8))) == {200}
    # Each of two proxy pods may send it half of them.
    assert (len(canary.asked), len(app.asked)) == (4, 4)


def test_requests_that_no_version_can_take_get_503(nginx: Nginx, app: App, canary: App) -> None:
    canary.answers["/"] = app.answers["/"] = Answer(delay=2)
    limits = {"maxConnectionsPerPod": 4}
    with nginx.running(**versioned(proxy=limits)), ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: nginx.get(), range(8)))
    assert sorted(answer.status for answer in answers) == 4 * [200] + 4 * [503]
    rejected = {answer.headers["Retry-After"] for answer in answers if answer.status == 503}
    assert rejected == {"1"}


def test_a_dead_pod_of_the_canary_costs_no_request(nginx: Nginx, app: App) -> None:
    nginx.dns.of_service[SERVICE] = (DEAD_POD,)
    with nginx.running(**versioned()):
        for method in ("GET", "POST"):
            answer = ask(nginx.pod.port(8080), "/items", method=method, body=b"{}")
            assert answer.status == 200, method
    assert app.asked == 2 * ["/items"]
    assert {record["fallback"] for record in nginx.log()} == {"unavailable"}


def test_a_request_that_a_pod_has_got_is_repeated_only_if_it_may_be(
    nginx: Nginx, app: App, canary: App
) -> None:
    canary.answers["/"] = Answer(breaks=True)
    with nginx.running(**versioned()):
        assert nginx.get().status == 200
        answer = ask(nginx.pod.port(8080), method="POST", body=b"{}")
        assert (answer.status, answer.headers["Retry-After"]) == (502, None)
    assert (len(app.asked), len(canary.asked)) == (1, 2)
    assert [record["fallback"] for record in nginx.log()] == ["failed", ""]


def test_a_request_that_timed_out_is_not_repeated(nginx: Nginx, app: App, canary: App) -> None:
    canary.answers["/"] = app.answers["/stable"] = Answer(delay=3)
    arguments = versioned(canary=TESTED, proxy={"timeouts": {"readSeconds": 1}})
    with nginx.running(**arguments):
        assert nginx.get().status == 504
        assert nginx.get("/stable", X_Version="stable").status == 504
    assert app.asked == ["/stable"]


def test_an_error_of_the_canary_is_its_own(nginx: Nginx, app: App, canary: App) -> None:
    for status in (500, 502, 503, 504):
        canary.answers[f"/{status}"] = Answer(status=status, body=b"mine")
    with nginx.running(**versioned()):
        for status in (500, 502, 503, 504):
            answer = nginx.get(f"/{status}")
            assert (answer.status, answer.read()) == (status, b"mine")
    assert app.asked == []


def test_streams_of_the_canary_have_their_limit_and_fall_back(
    nginx: Nginx, app: App, canary: App
) -> None:
    limits = {"streamingPaths": ["/events"], "maxConnectionsPerPod": 2, "maxStreamsPerPod": 20}
    with nginx.running(**versioned(proxy=limits)), ThreadPoolExecutor(15) as clients:
        streams = list(clients.map(lambda _: nginx.get("/events"), range(15)))
        assert {stream.status for stream in streams} == {200}
        assert {stream.read(6) for stream in streams} == {b"first\n"}
        assert (len(canary.asked), len(app.asked)) == (10, 5)
        app.may_continue.set()
        canary.may_continue.set()


def test_a_request_with_priority_gets_a_slot_of_the_reserve(
    nginx: Nginx, app: App, canary: App
) -> None:
    nginx.dns.of_service[SERVICE] = ()
    app.answers["/slow"] = Answer(delay=2)
    arguments = versioned(
        proxy={"maxConnectionsPerPod": 8}, server={"priorities": ["/pay"], "rootPath": "/shop"}
    )
    with nginx.running(**arguments), ThreadPoolExecutor(8) as clients:
        slow = clients.map(lambda _: nginx.get("/shop/slow").status, range(4))
        time.sleep(0.5)
        assert nginx.get("/shop/items").status == 503
        answer = ask(nginx.pod.port(8080), "/shop/pay?x=1", "POST", b"{}")
        assert received(answer)["path"] == "/pay?x=1"
        assert set(slow) == {200}


def test_each_version_has_its_own_cached_responses(nginx: Nginx, app: App, canary: App) -> None:
    app.answers["/rates"], canary.answers["/rates"] = Answer(body=b"old"), Answer(body=b"new")
    cache = {"cache": {"routes": [{"path": "/rates", "seconds": 60}]}}
    with nginx.running(**versioned(0, TESTED, proxy=cache)):
        for version, body in (("stable", b"old"), ("canary", b"new")) * 2:
            assert nginx.get("/rates", X_Version=version).read() == body
    assert (len(app.asked), len(canary.asked)) == (1, 1)


def test_through_a_service_each_version_has_its_own(nginx: Nginx, app: App, canary: App) -> None:
    with nginx.running(**versioned(100, TESTED, proxy={"balancing": "Service"})):
        assert nginx.get().status == 200
        assert nginx.get(X_Version="stable").status == 200
        assert (len(app.asked), len(canary.asked)) == (1, 1)
    canary.server_close()
    canary.shutdown()
    with nginx.running(**versioned(100, TESTED, proxy={"balancing": "Service"})):
        assert ask(nginx.pod.port(8080), method="POST", body=b"{}").status == 200


def _versions(nginx: Nginx, step: int) -> Versions:
    """The counts of a step, as the operator reads them."""
    return proxy_reading(nginx.counts(), STAGE.canary).get(step, Versions())


def test_requests_are_counted_for_the_version_to_which_they_were_assigned(
    nginx: Nginx, app: App, canary: App
) -> None:
    canary.answers["/torn"] = Answer(breaks=True)
    canary.answers["/slow"] = Answer(delay=0.12)
    canary.answers["/error"] = Answer(status=500)
    arguments = versioned(
        canary=TESTED, proxy={"cache": {"routes": [{"path": "/c", "seconds": 9}]}}
    )
    with nginx.running(**arguments):
        for _ in range(5):
            nginx.get("/items")
            nginx.get("/c")
        for path in ("/slow", "/error", "/missing", "/torn"):
            nginx.get(path)
        # Not counted: a path that nginx refuses, and requests of testers.
        nginx.get("/a/../b")
        nginx.get("/error", X_Version="canary")
        nginx.get("/items", X_Version="stable")
        nginx.dns.of_service[SERVICE] = ()
        eventually(
            lambda: nginx.get(X_Version="canary").headers["X-Version"] == "stable",
            "the canary has no pod",
            2 * LEARNED_SECONDS,
        )
        nginx.get("/items")
        arguments["stage"] = dataclasses.replace(arguments["stage"], step=3, percent=0)
        _reload(nginx, **arguments)
        for _ in range(3):
            nginx.get("/items")
        eventually(lambda: _versions(nginx, 3).stable.requests == 3, "the last requests have ended")
        second, third = _versions(nginx, 2), _versions(nginx, 3)
    # The cache served all but the first request for /c.
    found = second.canary
    assert (found.requests, found.errors, found.fallbacks) == (5 + 1 + 4 + 1, 2, 1)
    assert second.stable == Counts()
    assert 0.1 < (found.quantile(0.999) or 0) < 0.3
    assert (third.stable.requests, third.canary.requests) == (3, 0)


def test_a_stream_is_counted_by_the_time_to_its_beginning(
    nginx: Nginx, app: App, canary: App
) -> None:
    arguments = versioned(proxy={"streamingPaths": ["/events"]})
    with nginx.running(**arguments):
        stream = nginx.get("/events")
        time.sleep(1)
        canary.may_continue.set()
        assert stream.read() == b"first\nsecond\n"
        eventually(lambda: _versions(nginx, 2).canary.requests == 1, "the stream is counted")
        assert (_versions(nginx, 2).canary.quantile(1) or 0) < 0.5
