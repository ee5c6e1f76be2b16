"""How Caddy divides the requests between the stable version and a canary."""

import dataclasses
import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fastapi_operator.resources.stage import Stage
from tests.resilience.client import Request
from tests.resilience.load import Load
from tests.unit.resources.caddy import Caddy
from tests.unit.resources.operands import eventually
from tests.unit.resources.web import BEHIND_INGRESS, Answer, App, ask, received, serving

CANARY_POD = "127.0.0.2"
DEAD_POD = "127.0.0.3"
SERVICE = "shop-canary-pods"
# Two seconds for which Caddy keeps the addresses of a name, and some for its question.
LEARNED_SECONDS = 3
STAGE = Stage(canary="3f9a01bc", step=2, percent=100, replicas=1)
TESTED = {"versionHeader": "X-Version"}


@pytest.fixture
def canary(caddy: Caddy, app: App) -> Iterator[App]:
    """A pod of the canary, which gets all requests unless the stage has another share."""
    with serving(CANARY_POD, app.port) as canary:
        caddy.pod.hosts |= {
            f"name {SERVICE}": f"name {SERVICE}\n\t\t\tresolvers {caddy.dns.address}",
            # Streams use the resolver of the system.
            f"{SERVICE}:": f"{CANARY_POD}:",
            "shop-canary:": f"{CANARY_POD}:",
        }
        caddy.dns.of_service[SERVICE] = (CANARY_POD,)
        yield canary


def versioned(percent: int = 100, canary: dict[str, Any] | None = None, **spec: Any) -> Any:
    """The arguments of a service with a canary at a share."""
    stage = dataclasses.replace(STAGE, percent=percent)
    return {"stage": stage, "rollout": {"canary": canary or {}}, **spec}


def test_the_configuration_is_valid_without_warnings(caddy: Caddy) -> None:
    for arguments in (
        versioned(0),
        versioned(5, TESTED, exposure=BEHIND_INGRESS),
        versioned(
            proxy={"streamingPaths": ["/events"]},
            server={"priorities": ["/pay"], "rootPath": "/shop"},
        ),
        versioned(25, TESTED, proxy={"balancing": "Service"}),
        {"rollout": {"canary": TESTED}},
    ):
        caddy.written(**arguments)
        command = "caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile"
        valid = caddy.pod.run(*command.split())
        assert valid.returncode == 0, valid.stderr
        assert '"level":"warn"' not in valid.stderr, valid.stderr


def test_a_share_of_the_requests_goes_to_the_canary(caddy: Caddy, app: App, canary: App) -> None:
    with caddy.running(**versioned(25)):
        for _ in range(400):
            assert caddy.get().status == 200
        logged = [record["version"] for record in caddy.log()]
    assert 60 < len(canary.asked) < 140
    assert len(app.asked) == 400 - len(canary.asked)
    assert logged.count("canary") == len(canary.asked)


def test_a_tester_chooses_a_version_and_sees_it(caddy: Caddy, app: App, canary: App) -> None:
    with caddy.running(**versioned(50, TESTED, exposure=BEHIND_INGRESS)):
        for version, served in (("canary", canary), ("stable", app)):
            served.asked.clear()
            for _ in range(10):
                answer = caddy.get(X_Version=version)
                assert answer.headers.get_all("X-Version") == [version]
                assert received(answer)["X-Version"] == version
            assert len(served.asked) == 10
        assert "X-Version" not in received(caddy.get(X_Version="newest"))
        # Another client cannot choose.
        canary.asked.clear()
        for _ in range(20):
            answer = caddy.get(X_Version="canary", X_Forwarded_For="198.51.100.7")
            assert answer.headers["X-Version"] is None
            assert "X-Version" not in received(answer)
        assert 0 < len(canary.asked) < 20
        caddy.dns.of_service[SERVICE] = (DEAD_POD,)
        eventually(
            lambda: caddy.get(X_Version="canary").headers.get_all("X-Version") == ["stable"],
            "the canary has no pod",
            2 * LEARNED_SECONDS,
        )
    with caddy.running(rollout={"canary": TESTED}):
        assert "X-Version" not in received(caddy.get(X_Version="canary"))


def test_a_canary_that_lost_its_pods_costs_no_request(caddy: Caddy, app: App, canary: App) -> None:
    """An abort empties the Service. DNS returns no address, or that there is no such name."""
    with caddy.running(**versioned()):
        assert caddy.get().status == 200
        caddy.dns.of_service[SERVICE] = ()
        end = time.monotonic() + LEARNED_SECONDS
        while time.monotonic() < end:
            for method in ("GET", "POST"):
                assert ask(caddy.pod.port(8080), method=method, body=b"{}").status == 200
            time.sleep(0.05)
        assert canary.asked
        canary.asked.clear()
        caddy.dns.of_service[SERVICE] = None
        for method in ("GET", "POST"):
            answer = ask(caddy.pod.port(8080), method=method, body=b'{"paid": 1}')
            assert received(answer)["Content-Length"] == "11"
        assert canary.asked == []


def test_no_request_is_lost_while_a_canary_is_aborted(caddy: Caddy, app: App, canary: App) -> None:
    requests = itertools.cycle(
        (Request("list", "GET", "/items"), Request("order", "POST", "/orders", b"{}"))
    )
    # The apps of the test are slower than one pod must be to serve so many.
    limits = {"proxy": {"maxConnectionsPerPod": 1000}}
    with (
        caddy.running(**versioned(50, **limits)),
        Load("127.0.0.1", requests, rate=100, port=caddy.pod.port(8080)) as load,
    ):
        load.wait_for(100)
        # The Service is emptied, and its pods end before Caddy reads another configuration.
        caddy.dns.of_service[SERVICE] = ()
        time.sleep(LEARNED_SECONDS)
        canary.shutdown()
        canary.server_close()
        load.wait_for(len(load.answers) + 100)
    assert len(canary.asked) > 30
    assert [(it.ending, it.connection) for it in load.answers if not it.answered] == []


def test_requests_that_the_canary_cannot_take_are_served_by_the_stable_version(
    caddy: Caddy, app: App, canary: App
) -> None:
    canary.answers["/torn"] = Answer(breaks=True)
    canary.answers["/error"] = Answer(status=503, body=b"mine")
    with caddy.running(**versioned(server={"priorities": ["/pay"]})):
        # A pod has got it, so it is repeated only if it may be.
        assert ask(caddy.pod.port(8080), "/torn", method="POST", body=b"{}").status == 502
        assert caddy.get("/error").read() == b"mine"
        assert caddy.get("/torn").status == 200
        assert app.asked == ["/torn"]
        caddy.dns.of_service[SERVICE] = (DEAD_POD,)
        time.sleep(LEARNED_SECONDS)
        app.asked.clear()
        for path in ("/items", "/pay"):
            answer = ask(caddy.pod.port(8080), path, method="POST", body=b'{"paid": 1}')
            assert received(answer)["Content-Length"] == "11"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert app.asked == ["/items", "/pay"]


def test_streams_and_requests_through_a_service_fall_back(
    caddy: Caddy, app: App, canary: App
) -> None:
    proxy = {"streamingPaths": ["/events"], "balancing": "Service"}
    with caddy.running(**versioned(proxy=proxy)):
        canary.may_continue.set()
        assert caddy.get("/events").read() == b"first\nsecond\n"
        assert (canary.asked, app.asked) == (["/events"], [])
        canary.shutdown()
        canary.server_close()
        app.may_continue.set()
        assert caddy.get("/events").read() == b"first\nsecond\n"
        assert ask(caddy.pod.port(8080), method="POST", body=b"{}").status == 200
    assert app.asked == ["/events", "/"]
