"""One real node, one operator installed by its chart, one long-lived shop for many assertions."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

import pytest

from tests.demo import story, targets
from tests.demo.targets import Cluster
from tests.kubectl import Kubectl, condition, eventually

NODE = "e2e"
NAMESPACE = "e2e"
READY_SECONDS = 240


@dataclass(frozen=True)
class Answer:
    """A response of the service."""

    status: int
    body: Any
    headers: Message


@dataclass(frozen=True)
class Shop:
    """The running shop, as a client and as its owner see it."""

    kubectl: Kubectl
    app_image: str
    namespace: str = NAMESPACE
    name: str = "shop"

    def get(self) -> dict[str, Any]:
        """The FastAPIService as it is."""
        return self.kubectl.json("get", "fas", self.name, "-n", self.namespace)

    def patch(self, spec: dict[str, Any]) -> None:
        """Merges into the spec; null removes a field."""
        patch = json.dumps({"spec": spec})
        self.kubectl(
            *("patch", "fas", self.name, "-n", self.namespace, "--type", "merge", "-p", patch)
        )

    def condition(self, kind: str) -> dict[str, Any]:
        """A condition judged at the present generation, or an empty one."""
        return condition(self.get(), kind)

    def is_ready(self) -> bool:
        """Whether Ready is True at the present generation."""
        return self.condition("Ready").get("status") == "True"

    def wait_until_ready(self) -> None:
        """Waits for Ready; the failure shows all conditions."""
        try:
            eventually(self.is_ready, seconds=READY_SECONDS, what="shop Ready")
        except AssertionError as error:
            status = self.get().get("status", {})
            pods = self.kubectl("get", "pods", "-n", self.namespace, "-o", "wide")
            raise AssertionError(f"{error}\n{json.dumps(status, indent=1)}\n{pods}") from error

    @property
    def address(self) -> str:
        """That of the proxy's Service; the host routes to it."""
        service = self.kubectl.json("get", "service", self.name, "-n", self.namespace)
        return str(service["spec"]["clusterIP"])

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        """One request through the proxy's Service."""
        request = urllib.request.Request(
            f"http://{self.address}{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return Answer(response.status, json.load(response), response.headers)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode(), error.headers)

    def database(self, query: str) -> str:
        """Returns the result of a query, run in the database's pod."""
        return story.database(self.kubectl, query, namespace=self.namespace)

    def children(self) -> list[dict[str, Any]]:
        """All live objects of the service, but those that controllers made of them."""
        kinds = (
            "serviceaccount,service,configmap,secret,persistentvolumeclaim,deployment,statefulset,"
            "job,horizontalpodautoscaler,networkpolicy,poddisruptionbudget,controllerrevision"
        )
        label = f"fastapi-operator.io/service={self.name},fastapi-operator.io/watched=true"
        found = self.kubectl.json("get", kinds, "-n", self.namespace, "-l", label)
        return [item for item in found["items"] if _owner(item) in (None, "FastAPIService")]


def _owner(item: dict[str, Any]) -> str | None:
    owners = item["metadata"].get("ownerReferences", ())
    return next((owner["kind"] for owner in owners), None)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A node of the tests' own, with the operator.

    It is always stopped afterwards, unless ``KEEP_NODE=1`` keeps it for the next run.
    """
    target = targets.LocalNode(NODE)
    try:
        ready = target.prepare()
        story.install_operator(ready)
        # The shop starts while the first tests wait for services of their own.
        if any("shop" in getattr(item, "fixturenames", ()) for item in request.session.items):
            story.apply_service(ready, namespace=NAMESPACE)
        yield ready
    finally:
        if not os.environ.get("KEEP_NODE"):
            target.remove()


@pytest.fixture(scope="session")
def shop(cluster: Cluster) -> Shop:
    """The shop, Ready."""
    running = Shop(cluster.kubectl, cluster.app_image)
    running.wait_until_ready()
    return running
