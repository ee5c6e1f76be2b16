"""Everybody but the operator: owners who edit services, and the controllers that finish work.

They continue while the API server is down: a failed action is retried.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import urllib3

from fastapi_operator import naming
from fastapi_operator.parts import Part
from tests.api.kube import Kube, RefusedError, service_body
from tests.api.world import completed, ran_pod, rolled_out
from tests.faults.fleet import CANARIES, Member, Stage

TICK_SECONDS = 0.5
SERVICES = "/apis/fastapi-operator.io/v1alpha1/namespaces/{namespace}/fastapiservices"
_APPS = "/apis/apps/v1/namespaces/{namespace}"
_JOBS = "/apis/batch/v1/namespaces/{namespace}/jobs"
_PODS = "/api/v1/namespaces/{namespace}/pods"
# The reasons for which those parts of a held service wait.
_HELD = {
    Stage.DATABASE: frozenset({Part.DATABASE, Part.MIGRATION, Part.APP}),
    Stage.MIGRATING: frozenset({Part.MIGRATION, Part.APP}),
    Stage.UPGRADING: frozenset({Part.MIGRATION, Part.APP}),
    Stage.ROLLING: frozenset({Part.APP}),
}


def with_retries(work: Callable[[], Any], *, seconds: float = 90.0) -> Any:
    """Does something as soon as the API server lets it.

    Raises:
        RefusedError: It was refused for a reason that does not pass.
        urllib3.exceptions.HTTPError: The API server did not come back in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return work()
        except (RefusedError, urllib3.exceptions.HTTPError) as error:
            passes = not isinstance(error, RefusedError) or error.status in (409, 429, 500, 503)
            if not passes or time.monotonic() > deadline:
                raise
            time.sleep(0.5)


class People:
    """Plays the controllers in a thread, and makes the owners' edits on request."""

    def __init__(
        self,
        kube: Kube,
        members: list[Member],
        namespaces: tuple[str, ...],
        *,
        kubelet: bool = False,
    ) -> None:
        """Creates them.

        Args:
            kube: The way to the API server.
            members: The services.
            namespaces: Of the services.
            kubelet: Play the kubelet: the real controllers work.
        """
        self.kube = kube
        self._kubelet = kubelet
        self.members = {member.name: member for member in members}
        self._namespaces = namespaces
        self._held = {member.name: _HELD.get(member.stage, frozenset()) for member in members}
        # The second image is the held one: the first rolls out undisturbed.
        self._released = {m.name for m in members if m.stage is Stage.UPGRADING}
        # The services whose owners decide about their canary.
        self._decided: set[str] = set()
        self._over = threading.Event()

    # The controllers ---------------------------------------------------------------------------

    @contextmanager
    def working(self) -> Iterator[None]:
        """Finishes rollouts and Jobs for the length of a block."""
        thread = threading.Thread(target=self._work, name="controllers", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(30)

    def release(self) -> None:
        """Lets everything come to its end."""
        self._released = set(self.members)

    def _work(self) -> None:
        with ThreadPoolExecutor(6) as pool:
            while not self._over.wait(TICK_SECONDS):
                try:
                    list(pool.map(lambda work: work(), list(self._open())))
                except (RefusedError, urllib3.exceptions.HTTPError):
                    continue  # The API server is away, or the object went: the next look shows it.

    def _open(self) -> Iterator[Callable[[], Any]]:
        yield from self._open_pods() if self._kubelet else self._open_workloads()
        if self._decided:
            yield from self._open_decisions()

    def _open_decisions(self) -> Iterator[Callable[[], Any]]:
        for body in self.services():
            member = self.members[body["metadata"]["name"]]
            canary = body.get("status", {}).get("canary", {})
            aborts = member.stage is Stage.ABORTED
            name = naming.ABORT_ANNOTATION if aborts else naming.PROMOTE_ANNOTATION
            if (
                member.name in self._decided
                and canary.get("phase") in ("Starting", "Progressing")
                and canary["image"] == member.spec(member.last_image)["image"]
                and body["metadata"].get("annotations", {}).get(name) != canary["id"]
            ):
                yield self._annotate(member, name, canary["id"])

    def _annotate(self, member: Member, name: str, value: str) -> Callable[[], Any]:
        body = {"metadata": {"annotations": {name: value}}}
        return lambda: self.kube.patch(self.path(member), body)

    def _open_pods(self) -> Iterator[Callable[[], Any]]:
        for namespace in self._namespaces:
            path = _PODS.format(namespace=namespace)
            for body in self.kube.items(path):
                if body["status"].get("phase") == "Pending" and not self._is_held(body):
                    yield self._finish(f"{path}/{body['metadata']['name']}", self._ran(body))

    def _ran(self, body: dict[str, Any]) -> dict[str, Any]:
        owners = body["metadata"].get("ownerReferences") or [{}]
        if owners[0].get("kind") != "Job":
            return ran_pod(body, "Running")
        if not self._fails(body, body["spec"]):
            return ran_pod(body, "Succeeded")
        status = ran_pod(body, "Failed")
        for container in status["containerStatuses"]:
            container["state"]["terminated"]["exitCode"] = 1
        return status

    def _open_workloads(self) -> Iterator[Callable[[], Any]]:
        for namespace in self._namespaces:
            for plural in ("deployments", "statefulsets"):
                path = f"{_APPS.format(namespace=namespace)}/{plural}"
                for body in self.kube.items(path):
                    wanted = rolled_out(body)
                    if body.get("status") != wanted and not self._is_held(body):
                        yield self._finish(f"{path}/{body['metadata']['name']}", wanted)
            path = _JOBS.format(namespace=namespace)
            for body in self.kube.items(path):
                if not body.get("status", {}).get("conditions") and not self._is_held(body):
                    done = completed(failed=self._fails(body, body["spec"]["template"]["spec"]))
                    yield self._finish(f"{path}/{body['metadata']['name']}", done)

    def _finish(self, path: str, status: dict[str, Any]) -> Callable[[], Any]:
        return lambda: self.kube.patch(f"{path}/status", {"status": status})

    def _is_held(self, body: dict[str, Any]) -> bool:
        labels = body["metadata"]["labels"]
        service = labels.get(naming.SERVICE_LABEL, "")
        if service in self._released:
            return False
        held = self._held.get(service, frozenset())
        return Part(labels["app.kubernetes.io/component"]) in held

    def _fails(self, body: dict[str, Any], pod: dict[str, Any]) -> str:
        member = self.members.get(body["metadata"]["labels"].get(naming.SERVICE_LABEL, ""))
        image = pod["containers"][0]["image"]
        broken = member is not None and member.stage is Stage.FAILED and image.endswith(":2")
        return "column shop.price does not exist" if broken else ""

    # The owners --------------------------------------------------------------------------------

    def apply(self, member: Member, image: int, **changes: Any) -> None:
        """Applies a service, as `kubectl apply --server-side` does."""
        body = service_body(member.name, member.namespace, **member.spec(image, **changes))
        with_retries(lambda: self.kube.apply(self.path(member), body, force="true"))

    def delete(self, member: Member) -> None:
        """Deletes a service."""
        with_retries(lambda: self.kube.delete(self.path(member)))

    def begin(self, until: Callable[[Callable[[], bool]], None]) -> None:
        """Brings every service to its stage; the operator must be at work.

        Args:
            until: Waits for a check to hold.
        """
        early = [m for m in self.members.values() if m.stage is not Stage.COMING]
        for member in early:
            self.apply(member, 1)
        free = [m for m in early if m.stage not in _HELD or m.stage is Stage.UPGRADING]
        until(lambda: all(state == "True" for state, _ in self.states(free)))
        for member in free:
            if member.stage is Stage.UPGRADING:
                self._released.discard(member.name)
            if member.stage in (Stage.UPGRADING, Stage.FAILED):
                self.apply(member, 2)
            if member.stage is Stage.SUSPENDED:
                self.apply(member, 1, suspend=True)
            if member.stage in CANARIES:
                self.apply(member, 2)
        canaries = [m for m in free if m.stage in CANARIES]
        until(lambda: all(at == ("", "Progressing") for at in self.states(canaries)))
        failed = [m for m in free if m.stage is Stage.FAILED]
        until(lambda: all(reason == "MigrationFailed" for _, reason in self.states(failed)))

    def edits(self) -> list[Callable[[], None]]:
        """The edits of the owners during the fault."""
        found: list[Callable[[], None]] = []
        for member in self.members.values():
            found += self._edit(member)
        return found

    def _edit(self, member: Member) -> list[Callable[[], None]]:
        def apply() -> None:
            self.apply(member, member.last_image)

        def delete() -> None:
            self.delete(member)

        def decide() -> None:
            self.apply(member, member.last_image)
            self._decided.add(member.name)

        if member.stage in (Stage.COMING, Stage.CHANGING, Stage.FAILED):
            return [apply]
        if member.stage in CANARIES:
            return [decide]
        if member.stage is Stage.SUSPENDED:
            return [lambda: self.apply(member, 2, suspend=False)]
        if member.stage is Stage.LEAVING:
            return [delete]
        return [delete, apply] if member.stage is Stage.RETURNING else []

    def services(self) -> list[dict[str, Any]]:
        """All services as they are now."""
        return [
            body
            for namespace in self._namespaces
            for body in self.kube.items(SERVICES.format(namespace=namespace))
        ]

    def reasons(self, condition: str) -> dict[str, str]:
        """The reason of each service whose condition of this type is True."""
        return {
            body["metadata"]["name"]: item["reason"]
            for body in self.services()
            for item in body.get("status", {}).get("conditions") or ()
            if (item["type"], item["status"]) == (condition, "True")
        }

    def states(self, members: list[Member]) -> list[tuple[str, str]]:
        """Status and reason of each service's Ready at its newest generation.

        While a canary is under way, the reason is its phase.
        """
        bodies = {
            (namespace, body["metadata"]["name"]): body
            for namespace in {member.namespace for member in members}
            for body in self.kube.items(SERVICES.format(namespace=namespace))
        }
        return [_ready(bodies.get((member.namespace, member.name))) for member in members]

    def path(self, member: Member) -> str:
        """The path of a service."""
        return f"{SERVICES.format(namespace=member.namespace)}/{member.name}"


def _ready(body: dict[str, Any] | None) -> tuple[str, str]:
    if body is None:
        return "", "Absent"
    status = body.get("status", {})
    conditions = status.get("conditions") or []
    ready = next((item for item in conditions if item["type"] == "Ready"), {})
    if ready.get("observedGeneration") != body["metadata"]["generation"]:
        return "", "Unanswered"
    phase = status.get("canary", {}).get("phase", "Aborted")
    if phase != "Aborted":
        return "", phase
    return ready["status"], ready["reason"]
