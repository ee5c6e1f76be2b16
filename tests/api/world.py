"""A test's namespace, and the actions of users, controllers and the operator in it."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi_operator.api.crd import crd
from fastapi_operator.cluster.kinds import OWNED
from fastapi_operator.reconcile.plan.desired_state import BuildDesiredState
from tests.api import small
from tests.api.kube import Kube, RefusedError, audited, service_body
from tests.api.running import RunningOperator
from tests.cluster.apiserver import ApiServer

EVENTUALLY_SECONDS = 20.0


def eventually(check: Callable[[], Any], *, within: float = EVENTUALLY_SECONDS) -> Any:
    """Returns the result of ``check`` when it is true; fails with its last error or result."""
    deadline, last = time.monotonic() + within, None
    while True:
        try:
            answer, last = check(), None
            if answer:
                return answer
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            if last is not None:
                raise last
            raise AssertionError(f"not within {within:g} s: {check}")
        time.sleep(0.05)


@dataclass
class World:
    """One test's namespace and its operators."""

    kube: Kube
    kubeconfig: Path
    namespace: str
    audit_log: Path
    operators: list[RunningOperator] = field(default_factory=list)

    def start(self, *, build: BuildDesiredState = small.build, **options: Any) -> RunningOperator:
        """Starts an operator for this namespace and waits until it watches."""
        operator = RunningOperator(
            self.kubeconfig, namespaces=(self.namespace,), build=build, **options
        )
        since = self.mark()
        self.operators.append(operator)
        operator.start()
        watched = 1 + sum(not kind.optional for kind in OWNED)
        eventually(lambda: operator.error or len(self.watches(since)) >= watched)
        return operator

    def watches(self, since: int) -> set[str]:
        """The resources that Kopf watches in this namespace."""
        return {
            entry["objectRef"]["resource"]
            for entry in audited(self.audit_log, since)
            # The end of a former operator's watch may be logged late.
            if entry["verb"] == "watch"
            and entry["stage"] == "ResponseStarted"
            and entry.get("userAgent", "").startswith("kopf")
            and entry["objectRef"].get("namespace") == self.namespace
        }

    def path(self, kind: str, name: str = "") -> str:
        """Path of a collection or an object of a kind, given by its plural."""
        root = f"{_ROOTS[kind]}/namespaces/{self.namespace}/{kind}"
        return f"{root}/{name}" if name else root

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """A live object, or None."""
        return self.kube.get(self.path(kind, name))

    def apply(self, name: str = "shop", **spec: Any) -> dict[str, Any]:
        """Applies a FastAPIService as a user does."""
        body = service_body(name, self.namespace, **spec)
        return self.kube.apply(self.path("fastapiservices", name), body, force="true")

    def service(self, name: str = "shop") -> dict[str, Any]:
        """Returns the live service."""
        found = self.get("fastapiservices", name)
        assert found is not None, f"{name} is gone"
        return found

    def condition(self, kind: str, name: str = "shop") -> dict[str, Any]:
        """A condition of a service; empty if it is absent."""
        conditions = self.service(name).get("status", {}).get("conditions") or []
        return next((item for item in conditions if item["type"] == kind), {})

    def is_ready(self, name: str = "shop") -> bool:
        """Whether the service is Ready at its newest generation."""
        body, ready = self.service(name), self.condition("Ready", name)
        current = ready.get("observedGeneration") == body["metadata"]["generation"]
        return current and ready.get("status") == "True"

    # Actions of controllers and kubelets ------------------------------------------------------

    def finish_rollouts(self) -> None:
        """Marks every Deployment and StatefulSet ready at its newest generation."""
        for kind in ("deployments", "statefulsets"):
            for body in self.kube.items(self.path(kind)):
                self.finish_rollout(kind, body)

    def finish_rollout(self, kind: str, body: dict[str, Any]) -> None:
        """Marks one workload ready."""
        status, name = rolled_out(body), body["metadata"]["name"]
        if body.get("status") != status:
            self.kube.patch(f"{self.path(kind, name)}/status", {"status": status})

    def finish_job(self, name: str, *, failed: str = "") -> None:
        """Marks a Job complete, or failed with a message."""
        status = completed(failed=failed)
        self.kube.patch(f"{self.path('jobs', name)}/status", {"status": status})

    def until_ready(self, name: str = "shop", *, within: float = EVENTUALLY_SECONDS) -> None:
        """Plays the controllers until the service is Ready."""

        def settled() -> bool:
            self.finish_rollouts()
            for job in self.kube.items(self.path("jobs")):
                if not job.get("status", {}).get("conditions"):
                    self.finish_job(job["metadata"]["name"])
            return self.is_ready(name)

        eventually(settled, within=within)

    def create_pod(self, name: str = "shop-1", **metadata: Any) -> dict[str, Any]:
        """Creates a pod with the labels of the app's, which no node runs."""
        deployment = eventually(lambda: self.get("deployments", "shop"))
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        body = {
            "metadata": {"name": name, "labels": labels, **metadata},
            "spec": {"containers": [{"name": "app", "image": "registry.test/shop:1"}]},
        }
        return self.kube.request("POST", self.path("pods"), body)

    def report_container(
        self, pod: str = "shop-1", *, phase: str = "Pending", **status: Any
    ) -> None:
        """Plays the kubelet that reports the container of such a pod."""
        known = {"name": "app", "image": "", "imageID": "", "ready": False, "restartCount": 0}
        body = {"phase": phase, "containerStatuses": [known | status]}
        self.kube.patch(f"{self.path('pods', pod)}/status", {"status": body})

    def run_pods(self) -> None:
        """Plays the kubelet for pods of the real controllers: they run, those of Jobs succeed."""
        for body in self.kube.items(self.path("pods")):
            owners = body["metadata"].get("ownerReferences") or [{}]
            phase = "Succeeded" if owners[0].get("kind") == "Job" else "Running"
            if body.get("status", {}).get("phase") == phase:
                continue
            status = ran_pod(body, phase)
            path = f"{self.path('pods', body['metadata']['name'])}/status"
            with contextlib.suppress(RefusedError):
                self.kube.patch(path, {"status": status})

    def until_really_ready(self, name: str = "shop", *, within: float = 60.0) -> None:
        """Plays the kubelet, not the controllers, until the service is Ready."""

        def settled() -> bool:
            self.run_pods()
            return self.is_ready(name)

        eventually(settled, within=within)

    # Requests of the operator to the API server ------------------------------------------------

    def mark(self) -> int:
        """A position in the audit log; later requests are those after it."""
        before, own = self.audit_log.stat().st_size, f"mark={next(_numbers)}".encode()
        self.kube.request("GET", f"/api/v1/namespaces/{self.namespace}?{own.decode()}")
        # A request is processed before it is logged; earlier ones are logged about when this is.
        eventually(lambda: own in _tail(self.audit_log, before))
        time.sleep(0.05)
        return self.audit_log.stat().st_size

    def requests(self, since: int, *, user_agent: str = "fastapi-operator") -> list[str]:
        """Requests of the operator in this namespace, as ``verb resource/name``; no watches."""
        found = []
        for entry in audited(self.audit_log, since):
            target = entry.get("objectRef", {})
            if (
                entry.get("stage") == "ResponseComplete"
                and entry.get("userAgent", "").startswith(user_agent)
                and target.get("namespace") == self.namespace
                and entry["verb"] != "watch"
            ):
                tail = f"/{target['subresource']}" if target.get("subresource") else ""
                found.append(f"{entry['verb']} {target['resource']}/{target.get('name', '')}{tail}")
        return found

    def writes(self, since: int) -> list[str]:
        """Writes of the operator in this namespace."""
        return [text for text in self.requests(since) if not text.startswith(("get ", "list "))]

    def child_writes(self, since: int) -> list[str]:
        """Writes of the operator to the objects of services: no status, no Event."""
        found = self.writes(since)
        return [text for text in found if "/status" not in text and "events/" not in text]


_ROOTS = {
    "fastapiservices": "/apis/fastapi-operator.io/v1alpha1",
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "controllerrevisions": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "cronjobs": "/apis/batch/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "configmaps": "/api/v1",
    "secrets": "/api/v1",
    "services": "/api/v1",
    "pods": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "events": "/apis/events.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
}


def _tail(log: Path, since: int) -> bytes:
    with log.open("rb") as content:
        content.seek(since)
        return content.read()


def rolled_out(body: dict[str, Any]) -> dict[str, Any]:
    """The status of a workload that is ready at its newest generation."""
    count = body["spec"]["replicas"]
    return {
        "observedGeneration": body["metadata"]["generation"],
        "replicas": count,
        "updatedReplicas": count,
        "readyReplicas": count,
        "availableReplicas": count,
    }


def ran_pod(body: dict[str, Any], phase: str) -> dict[str, Any]:
    """The status of a pod that runs and is ready, or that has succeeded."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    running = phase == "Running"
    state = {"running": {"startedAt": now}}
    if not running:
        state = {"terminated": {"exitCode": 0, "startedAt": now, "finishedAt": now}}
    ready = str(running)
    return {
        "phase": phase,
        "startTime": now,
        "conditions": [
            {"type": kind, "status": ready, "lastTransitionTime": now}
            for kind in ("Ready", "ContainersReady")
        ],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "restartCount": 0,
                "ready": running,
                "state": state,
            }
            for container in body["spec"]["containers"]
        ],
    }


def completed(*, failed: str = "") -> dict[str, Any]:
    """The status of a Job that is complete, or failed with a message."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    kinds = ("FailureTarget", "Failed") if failed else ("SuccessCriteriaMet", "Complete")
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": "BackoffLimitExceeded" if failed else "Done",
            "message": failed,
            "lastTransitionTime": now,
            "lastProbeTime": now,
        }
        for kind in kinds
    ]
    status = {"startTime": now, "conditions": conditions, "active": 0, "ready": 0}
    return status | ({"failed": 1} if failed else {"succeeded": 1, "completionTime": now})


_numbers = itertools.count(1)


@contextlib.contextmanager
def world_on(server: ApiServer) -> Iterator[World]:
    """A fresh namespace; its operators are stopped after the test."""
    kube, namespace = Kube(server.kubeconfig), f"test-{next(_numbers)}"
    kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    # The work of a controller; pods need it.
    with contextlib.suppress(RefusedError):
        kube.request("POST", accounts, {"metadata": {"name": "default"}})
    world = World(kube, server.kubeconfig, namespace, server.audit_log)
    try:
        yield world
    finally:
        for operator in world.operators:
            operator.stop()


def install_crd(kube: Kube) -> None:
    """Installs the CRD and waits until it is served."""
    body = crd()
    name = body["metadata"]["name"]
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
    kube.apply(path, body)

    def served() -> bool:
        conditions = (kube.get(path) or {}).get("status", {}).get("conditions") or []
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    eventually(served)
    eventually(lambda: kube.get("/apis/fastapi-operator.io/v1alpha1/fastapiservices") is not None)
