"""KEDA's own controller scales the app by requests under way, and workers by waiting tasks."""

import base64
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.charts.conftest import SERVICE
from tests.e2e.conftest import Shop
from tests.full import following, keda
from tests.full.conftest import Platform
from tests.full.load import Request, generate
from tests.full.queue import connected
from tests.kubectl import eventually

pytestmark = [pytest.mark.node, pytest.mark.timeout(1500)]

NAMESPACE, IMAGE = "scaled", "registry.example.com/slow:1.0.0"
# Each request waits for half a second, so that 2 and 30 of them per second are 1 and 15 under way.
LOW, HIGH, WAIT_SECONDS = 2, 30, 0.5
TARGET, PODS = 6, 3
# Of the scraped figure, of KEDA and of the autoscaler.
SCALED_SECONDS = 150
HELD_SECONDS = 60


class Offered:
    """An open loop: a rate that can change, and the responses."""

    def __init__(self, url: str) -> None:
        self.rate = LOW
        self.answers: Counter[tuple[str, str]] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(url,))

    def _send(self, url: str) -> None:
        items = Request("/items", "/items")
        while not self._over.is_set():
            self.answers += generate(url, [items], rate=self.rate, seconds=5, clients=64).answers

    def __enter__(self) -> "Offered":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class Course(list[int]):
    """The numbers of pods that the Deployment requested, one after another."""

    def forget(self) -> None:
        """Keeps the newest only."""
        del self[:-1]


@contextmanager
def followed(shop: Shop, name: str) -> Iterator[Course]:
    """Follows the replicas of a Deployment while the block runs."""
    course = Course()

    def replicas() -> int:
        body = shop.kubectl.json("get", "deployment", name, "-n", shop.namespace)
        found: int = body["spec"].get("replicas", 1)
        return found

    with following.followed(replicas, course, seconds=1):
        yield course


def test_pods_follow_the_requests_under_way_and_outlive_their_autoscaler(
    platform: Platform,
) -> None:
    keda.require()
    platform.node.build_images(["worse"])
    platform.node.name_image("worse", IMAGE)
    platform.install()
    platform.namespace(NAMESPACE)
    with (
        keda.running(platform.kubectl),
        keda.prometheus(platform.kubectl, NAMESPACE, "shop") as prometheus,
    ):
        by_keda = {
            "engine": "Keda",
            "keda": {"prometheusAddress": prometheus},
            "targetInFlight": TARGET,
            "minReplicas": 1,
            "maxReplicas": 4,
            "scaleDownSeconds": 60,
            "replicas": None,
        }
        shop = apply(platform, by_keda)
        shop.wait_until_ready()
        with followed(shop, shop.name) as course, Offered(f"http://{shop.address}") as offered:
            settles(shop, course, 1)
            course.forget()

            offered.rate, began = HIGH, time.monotonic()
            settles(shop, course, PODS)
            print(f"1 to {PODS} pods after {time.monotonic() - began:.0f} s: {course}")
            time.sleep(HELD_SECONDS)
            assert course == sorted(course), "no pod was removed meanwhile"
            assert course[-1] == PODS
            course.forget()

            by_kubernetes = dict.fromkeys(("engine", "keda", "targetInFlight"))
            fixed = {**by_kubernetes, **dict.fromkeys(("minReplicas", "maxReplicas"))}
            fixed |= {"scaleDownSeconds": None, "replicas": PODS}
            for scaling in (by_kubernetes, by_keda, fixed, by_keda):
                shop.patch({"scaling": scaling})
                settles(shop, course, PODS)
                time.sleep(15)
            assert course == [PODS], "the autoscalers took over the number of pods"

            offered.rate, began = LOW, time.monotonic()
            eventually(lambda: course[-1] == 1, seconds=420, what="one pod")
            print(f"{PODS} to 1 pod after {time.monotonic() - began:.0f} s: {course}")
            time.sleep(HELD_SECONDS)
            assert course == sorted(course, reverse=True), "no pod was added meanwhile"
    print(f"responses: {offered.answers}")
    assert set(offered.answers) == {("/items", "200")}


# Does a task a second, and the last one before it ends.
WORKER = """
import os, signal, time, redis
over = []
signal.signal(signal.SIGTERM, lambda *_: over.append(True))
server = redis.Redis.from_url(os.environ["QUEUE_URL"], decode_responses=True)
while not over:
    if found := server.blpop("mail", timeout=1):
        time.sleep(1)
        server.hincrby("done", found[1], 1)
"""
TASKS, WORKERS = 60, 3


def in_one_line(code: str) -> str:
    """A command has no line breaks."""
    return f"import base64; exec(base64.b64decode({base64.b64encode(code.encode())!r}))"


def test_workers_follow_waiting_tasks_from_zero_and_back(platform: Platform) -> None:
    keda.require()
    platform.node.build_images(["worse"])
    platform.node.name_image("worse", IMAGE)
    platform.install()
    platform.namespace(NAMESPACE)
    scaling = {"listName": "mail", "maxReplicas": WORKERS, "scaleDownSeconds": 30}
    worker = {
        "name": "mailer",
        "command": ["python3", "-c", in_one_line(WORKER)],
        "scaling": scaling,
        "resources": {"requests": {"cpu": "50m"}},
    }
    with keda.running(platform.kubectl):
        shop = apply(platform, {"replicas": 1}, queue={}, background=[worker])
        shop.wait_until_ready()
        name = f"{shop.name}-background-mailer"
        with followed(shop, name) as course, connected(shop) as queue:
            eventually(
                lambda: shop.condition("AutoscalingReady").get("status") == "True",
                seconds=60,
                what="KEDA reads the queue",
            )
            assert shop.is_ready(), "without tasks no worker is needed"
            queue("RPUSH", "mail", *map(str, range(TASKS)))
            began = time.monotonic()
            eventually(lambda: queue("HLEN", "done") > 0, seconds=60, what="the first task")
            first = time.monotonic() - began
            eventually(lambda: queue("HLEN", "done") == TASKS, seconds=150, what="all tasks")
            last = time.monotonic() - began
            eventually(lambda: course[-1] == 0, seconds=150, what="no worker")
            zero = time.monotonic() - began
            assert set(queue("HVALS", "done")) == {"1"}, "each task was done once"
            assert shop.is_ready()
    print(
        f"first task after {first:.0f} s, all after {last:.0f} s, zero after {zero:.0f} s: {course}"
    )
    top = course.index(WORKERS)
    assert list(course[: top + 1]) == sorted(course[: top + 1])
    assert list(course[top:]) == sorted(course[top:], reverse=True)


def apply(platform: Platform, scaling: dict[str, Any], **more: Any) -> Shop:
    """A service whose requests wait."""
    waits = {"WORSE_SLOW_SHARE": "1", "WORSE_SLOW_SECONDS": str(WAIT_SECONDS)}
    spec = {
        "image": IMAGE,
        "app": "small_app:app",
        "env": [{"name": name, "value": value} for name, value in waits.items()],
        "resources": {"requests": {"cpu": "250m"}},
        "proxy": {"replicas": 1},
        "scaling": {name: value for name, value in scaling.items() if value is not None},
        **more,
    }
    platform.helm.run("install", "shop", SERVICE, "--namespace", NAMESPACE, values=spec)
    return Shop(platform.kubectl, IMAGE, namespace=NAMESPACE)


def settles(shop: Shop, course: Course, pods: int) -> None:
    """Waits until the service has a number of pods, and an autoscaler that works if it has one."""

    def settled() -> bool:
        autoscaling = shop.condition("AutoscalingReady").get("status", "True")
        return course[-1:] == [pods] and shop.is_ready() and autoscaling == "True"

    try:
        eventually(settled, seconds=SCALED_SECONDS, what=f"{pods} pods")
    except AssertionError as error:
        here = ("-n", shop.namespace)
        state = shop.kubectl("get", "scaledobject,hpa,deployment,pods", *here)
        state += shop.kubectl("describe", "scaledobject,hpa", *here)
        raise AssertionError(f"{error}; {course}\n{state}") from error
