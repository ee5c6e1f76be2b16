"""A leak of 1 MiB a second in each pod, under load: no pod is killed, and no request is lost."""

import itertools
import time
from typing import Any

import pytest

from tests.e2e.conftest import READY_SECONDS
from tests.full.canary.conftest import Platform
from tests.kubectl import eventually
from tests.resilience.client import Request
from tests.resilience.load import Load
from tests.resilience.scenarios import Bench

pytestmark = [pytest.mark.node, pytest.mark.timeout(1200)]

NAMESPACE = "leaking"
PODS, RATE, SECONDS = 2, 40, 420
# Each pod gets an equal share of the requests.
LEAK_BYTES = round(2**20 / (RATE / PODS))
LIMIT = "256Mi"


class _Seen:
    """What the pods of the service were like at any time."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.limits: set[str] = set()
        self.restarts = 0
        self.least_ready = PODS
        self.most_ending = 0

    def look(self, bench: Bench) -> None:
        selector = f"fastapi-operator.io/service={bench.name},app.kubernetes.io/component=app"
        bodies = bench.kubectl.json("get", "pods", "-n", bench.namespace, "-l", selector)["items"]
        ending = [body for body in bodies if "deletionTimestamp" in body["metadata"]]
        states = [(body, _state(body)) for body in bodies if _state(body)]
        self.names |= {body["metadata"]["name"] for body in bodies}
        self.restarts = max([self.restarts, *(state["restartCount"] for _, state in states)])
        self.limits |= {
            state["resources"]["limits"]["memory"] for _, state in states if state.get("resources")
        }
        ready = sum(state["ready"] for body, state in states if body not in ending)
        self.least_ready = min(self.least_ready, ready)
        self.most_ending = max(self.most_ending, len(ending))


def _state(body: dict[str, Any]) -> dict[str, Any]:
    states = body.get("status", {}).get("containerStatuses") or ()
    return next((state for state in states if state["name"] == "app"), {})


def test_a_leak_of_a_mebibyte_a_second_kills_no_pod_and_loses_no_request(
    platform: Platform,
) -> None:
    bench = Bench(platform.kubectl, platform.image, NAMESPACE, images=(platform.image, ""))
    spec = {
        "image": platform.image,
        "app": "small_app:app",
        "resources": {"requests": {"cpu": "60m"}, "limits": {"memory": LIMIT}},
        "scaling": {"replicas": PODS},
        "proxy": {"replicas": 1},
        "env": [{"name": "WORSE_LEAK_BYTES", "value": f"{LEAK_BYTES}"}],
        "tuning": {"leakGuard": "Automatic"},
    }
    metadata = {"name": bench.name, "namespace": NAMESPACE}
    bench.kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "fastapi-operator.io/v1alpha1",
            "kind": "FastAPIService",
            "metadata": metadata,
            "spec": spec,
        },
    )
    try:
        eventually(bench.is_ready, seconds=READY_SECONDS, what="Ready", pause=2)
        seen, end = _Seen(), time.monotonic() + SECONDS
        requests = itertools.repeat(Request("items", "GET", "/items"))
        with Load(bench.address, requests, rate=RATE) as load:
            while time.monotonic() < end:
                seen.look(bench)
                time.sleep(1)
        lost = [answer for answer in load.answers if not answer.answered]
        leak = bench.get()["status"].get("leak")
        events = bench.kubectl.json("get", "events", "-n", NAMESPACE)["items"]
        notes = [event["message"] for event in events if "memory" in event.get("message", "")]
        print(
            vars(seen), len(load.answers), f"{load.late_seconds:.2f} s late", leak, *notes, sep="\n"
        )
        assert [(answer.at, answer.ending) for answer in lost] == []
        assert seen.restarts == 0
        assert "512Mi" in seen.limits, "no running process got a larger limit"
        assert len(seen.names) >= PODS + 2, "no pod was replaced"
        assert seen.most_ending <= 1
        assert seen.least_ready >= PODS - 1
    finally:
        bench.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
