"""The node, the services under load, and what is read from them."""

import contextlib
import json
import os
import re
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import kubernetes

from tests.benchmarks.overload import cells, rivals
from tests.benchmarks.overload.cells import Around, Work
from tests.benchmarks.overload.rivals import Rival
from tests.cluster import cgroups, instances, node, progress
from tests.demo import story, targets
from tests.e2e.conftest import Shop
from tests.kubectl import Kubectl, KubectlError, eventually

NODE, NAMESPACE = "overload", "overload"
# The pods run on the first core, the generator on the other one.
PODS_CORE, GENERATOR_CORE = 0, 1
_SETTLED_SECONDS = 5
_SAMPLE_SECONDS = 1.0
# An app rests if it uses less than this many cores for so long; it starts with a tenth at least.
_RESTING_CORES, _REST_SECONDS, _REST_TIMEOUT_SECONDS = 0.05, 2, 240
_SHED = re.compile(r"^fastapi_worker_shed_requests_total(?:{[^}]*})? ([0-9.e+]+)$", re.M)
_SERVED = re.compile(r"^http_server_request_duration_seconds_count{[^}]*} ([0-9.e+]+)$", re.M)
_POD_COUNT = 2
# Its requests are rejected last.
PRIORITY = "/awaiting"
_UNMODIFIED = {"name": "RUNTIME", "value": "off"}


@dataclass(frozen=True)
class Service(Shop):
    """A service under load.

    Attributes:
        is_stored: Whether it is a FastAPIService with a status.
    """

    is_stored: ClassVar[bool] = True

    def selector(self, *parts: str) -> str:
        """Returns the selector of the pods of parts."""
        labels = f"fastapi-operator.io/service={self.name}"
        return f"{labels},app.kubernetes.io/component in ({','.join(parts)})"

    def pods(self, part: str = "app") -> list[dict[str, Any]]:
        """Its pods that do not end."""
        found = self.kubectl.json(
            *("get", "pods", "-n", self.namespace, "-l", self.selector(part))
        )["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def counters(self) -> dict[str, tuple[float, float]]:
        """Requests that the app served and rejected, by pod; empty without the runtime."""
        found = {}
        for pod in self.pods():
            ports = [
                port["containerPort"]
                for container in pod["spec"]["containers"]
                for port in container.get("ports", ())
                if port["name"] == "metrics"
            ]
            with contextlib.suppress(OSError, IndexError, KeyError):
                url = f"http://{pod['status']['podIP']}:{ports[0]}/metrics"
                with urllib.request.urlopen(url, timeout=10) as response:
                    text = response.read().decode()
                served, shed = (sum(map(float, p.findall(text))) for p in (_SERVED, _SHED))
                found[pod["metadata"]["name"]] = (served, shed)
        return found


@dataclass(frozen=True)
class RivalService(Service):
    """A server of others beside it; its name is the key of the rival."""

    is_stored: ClassVar[bool] = False

    def selector(self, *parts: str) -> str:
        """Returns the selector of the pods of parts."""
        return rivals.selector(self.name, *parts)


class Watch:
    """Samples the state of a service while it is under load.

    It asks the API server itself: a kubectl for each sample would take a third of a core.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._over = threading.Event()
        path = service.kubectl.kubeconfig
        self._api = kubernetes.config.new_client_from_config(None if path is None else str(path))
        self.restarts = self.unready = self.not_ready = 0

    @contextlib.contextmanager
    def running(self) -> Iterator["Watch"]:
        """Samples until the block ends."""
        before = self._restarts()
        thread = threading.Thread(target=self._sample)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()
            self.restarts = self._restarts() - before

    def _sample(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            with contextlib.suppress(kubernetes.client.ApiException):
                self.unready = max(self.unready, sum(not _is_ready(p) for p in self._all_pods()))
                if self._service.is_stored:
                    self.not_ready += not _is_ready(self._stored_service())

    def _restarts(self) -> int:
        return sum(
            status["restartCount"]
            for pod in self._all_pods()
            for status in pod["status"].get("containerStatuses", ())
        )

    def _all_pods(self) -> list[dict[str, Any]]:
        response = kubernetes.client.CoreV1Api(self._api).list_namespaced_pod(
            self._service.namespace,
            label_selector=self._service.selector("app", "proxy"),
            _preload_content=False,
        )
        return [
            pod
            for pod in json.loads(response.data)["items"]
            if "deletionTimestamp" not in pod["metadata"]
        ]

    def _stored_service(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = kubernetes.client.CustomObjectsApi(
            self._api
        ).get_namespaced_custom_object(
            "fastapi-operator.io",
            "v1alpha1",
            self._service.namespace,
            "fastapiservices",
            self._service.name,
        )
        return found


class Bench:
    """The node with the operator and the services.

    Attributes:
        kubectl: Reaches the node.
    """

    def __init__(self, kubectl: Kubectl, images: Mapping[str, str]) -> None:
        self.kubectl = kubectl
        self._images = images

    def service(self, work: Work) -> Service:
        """Returns the service of a work as it must be for it, ready and pinned to its core.

        It is the only service, so that its pods can request the CPU that they are limited to.
        """
        service = Service(self.kubectl, self._images[work.service], NAMESPACE, work.service)
        for other in {work.service for work in cells.WORKS} - {work.service}:
            self.kubectl("delete", "fastapiservice", other, "-n", NAMESPACE, "--ignore-not-found")
        spec: dict[str, Any] = {
            "resources": {"requests": {"cpu": work.cpu}, "limits": {"cpu": work.cpu}},
            "scaling": {"replicas": _POD_COUNT},
            "postgres": {"resources": {"requests": {"cpu": "200m", "memory": "256Mi"}}},
            "traffic": dict(work.traffic) or None,
            "proxy": {"streamingPaths": ["/events"]},
        }
        if work.service == "shop":
            spec["postgres"]["migrations"] = {}
            spec |= {"app": "shop.main:app", "redis": {"memory": "64Mi"}}
            spec |= {"server": {"probes": {"source": "Runtime"}}}
        else:
            spec |= {"app": "main:app", "env": [] if work.runtime else [_UNMODIFIED]}
            probes = {"source": "Runtime"} if work.runtime else None
            spec["server"] = {"probes": probes, "priorities": [PRIORITY]}
        body = cells.service(work.service, self._images[work.service], spec)
        body["metadata"]["namespace"] = NAMESPACE
        self.kubectl.apply(body)
        service.wait_until_ready()
        eventually(
            lambda: len(service.pods()) == _POD_COUNT, seconds=120, what=f"{_POD_COUNT} pods"
        )
        time.sleep(_SETTLED_SECONDS)
        self.pin()
        return service

    def rival(self, rival: Rival) -> Service:
        """Returns a rival with pods as the service of the unmodified app has them, ready."""
        service = RivalService(self.kubectl, self._images["bench"], NAMESPACE, rival.key)
        namespace = ("-n", NAMESPACE)
        app, proxy = (
            self.kubectl.json("get", "deployment", name, *namespace)["spec"]["template"]["spec"]
            for name in ("bench", "bench-proxy")
        )
        for body in rivals.objects(rival, app, proxy, replicas=_POD_COUNT):
            body["metadata"]["namespace"] = NAMESPACE
            self.kubectl.apply(body)
        for name in rival.deployments:
            self._wait_for_rollout(name)
        self.rest(service)
        self.pin()
        return service

    def _wait_for_rollout(self, name: str) -> None:
        namespace = ("-n", NAMESPACE)
        try:
            self.kubectl("rollout", "status", f"deployment/{name}", *namespace, "--timeout=300s")
        except KubectlError as error:
            pods = self.kubectl("get", "pods", "-o", "wide", *namespace)
            events = self.kubectl("get", "events", *namespace, "--sort-by=.lastTimestamp")
            raise AssertionError(f"{error}\n{pods}\n{events[-4000:]}") from error

    def rest(self, service: Service) -> None:
        """Waits until the app rests: its processes have started, and no request is left.

        Raises:
            AssertionError: It does not rest in time.
        """

        def rests() -> bool:
            before = self._cpu_seconds(service, "app", "app")
            time.sleep(_REST_SECONDS)
            used = self._cpu_seconds(service, "app", "app") - before
            # It is negative if a process has ended.
            return 0 <= used < _RESTING_CORES * _REST_SECONDS

        eventually(rests, seconds=_REST_TIMEOUT_SECONDS, what=f"{service.name} rests")

    def url(self, service: Service, work: Work) -> str:
        """Returns the URL of a work; an item of the shop is stored first, and cached."""
        path = work.path
        if "{item}" in path:
            item = {"name": "overload", "price_cents": 100}
            path = path.format(item=service.request("POST", "/items", item).body["id"])
        for _ in range(20):
            service.request("GET", path)
        return f"http://{service.address}{path}"

    def pin(self) -> None:
        """Moves all processes of pods to their core."""
        if (os.cpu_count() or 1) < PODS_CORE + 2:
            return
        for pid in cgroups.members(_instance()):
            with contextlib.suppress(OSError):
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), {PODS_CORE})

    def proxy_seconds(self, service: Service) -> float:
        """CPU time that the nginx processes of a service have used."""
        return self._cpu_seconds(service, "proxy", "nginx")

    def _cpu_seconds(self, service: Service, part: str, container: str) -> float:
        """CPU time that the processes of a container have used, in all pods of a part."""
        identifiers = {
            status["containerID"].rpartition("/")[2]
            for pod in service.pods(part)
            for status in pod["status"].get("containerStatuses", ())
            if status["name"] == container and "containerID" in status
        }
        ticks = os.sysconf("SC_CLK_TCK")
        total = 0
        for pid in cgroups.members(_instance()):
            with contextlib.suppress(OSError):
                group = Path(f"/proc/{pid}/cgroup").read_text()
                if any(identifier in group for identifier in identifiers):
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    total += int(fields[11]) + int(fields[12])
        return total / ticks


def busy_percent(seconds: float = 1.0) -> float:
    """Returns how busy all cores of the machine are, before a cell."""
    before = _ticks()
    time.sleep(seconds)
    busy, total = (now - then for now, then in zip(_ticks(), before, strict=True))
    return 100 * busy / max(1, total)


def _ticks() -> tuple[int, int]:
    """Returns the ticks for which the cores were busy, and all of them."""
    fields = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)


def around(
    watch: Watch,
    before: Mapping[str, tuple[float, float]],
    after: Mapping[str, tuple[float, float]],
    proxy_seconds: float,
    requests: int,
) -> Around:
    """Returns what happened to the service between two readings of its counters."""
    pods = [
        tuple(now - then for now, then in zip(after[name], before[name], strict=True))
        for name in after.keys() & before.keys()
    ]
    served = [pod[0] for pod in pods]
    return Around(
        restarts=watch.restarts,
        unready=watch.unready,
        not_ready=watch.not_ready,
        shed_by_app=round(sum(pod[1] for pod in pods)) if pods else None,
        proxy_microseconds=1e6 * proxy_seconds / max(1, requests),
        busiest_share=len(served) * max(served) / sum(served) if sum(served) else 0.0,
    )


@contextlib.contextmanager
def prepared() -> Iterator[Bench]:
    """Runs the node with the operator and its images."""
    target = targets.LocalNode(NODE)
    try:
        cluster = target.prepare()
        started = node.Node(NODE)
        started.build_images(["serving"])
        story.install_operator(cluster)
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": NAMESPACE, "labels": labels}
        cluster.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        images = {"shop": cluster.app_image, "bench": started.image("serving")}
        cgroups.prefer(_instance())
        yield Bench(cluster.kubectl, images)
    finally:
        with progress.step("removing the node"):
            target.remove()


def _instance() -> instances.Instance:
    found = instances.find(NODE)
    assert found is not None, "the node runs"
    return found


def _is_ready(found: Mapping[str, Any]) -> bool:
    conditions = found.get("status", {}).get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
