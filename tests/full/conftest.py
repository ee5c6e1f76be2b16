"""A node of its own, on which images go by the names that documentation and charts use."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browser import PACKAGES, Browser, browser
from tests.charts.conftest import OPERATOR, ROOT, Helm, chosen_helm
from tests.cluster import node, packages
from tests.demo.story import OPERATOR_NAMESPACE
from tests.kubectl import Kubectl

# Two checkouts can be tested at the same time.
NODE = os.environ.get("FULL_NODE", "full")
RELEASE = "fastapi-operator"
DEFINITION = "fastapiservices.fastapi-operator.io"
# The name of the reader's image in pages; here it is FastAPI's first example.
EXAMPLES = ("registry.example.com/shop:1.4.2", "registry.example.com/hello:1.0.0")
_OPERANDS = ("postgres", "pgbouncer", "redis", "valkey", "nginx")


@dataclass(frozen=True)
class Platform:
    """A cluster, and the operator's release in it, as an administrator handles both."""

    node: node.Node
    kubectl: Kubectl
    helm: Helm

    def install(self, chart: Path = OPERATOR, *arguments: str, release: str = RELEASE) -> None:
        """Installs or upgrades, and waits until the operator is ready."""
        self.helm.run(
            *("upgrade", "--install", release, chart, "--namespace", OPERATOR_NAMESPACE),
            *("--create-namespace", "--reset-values", "--wait", "--timeout", "2m", *arguments),
        )

    def uninstall(self, *, release: str = RELEASE) -> None:
        """Uninstalls, and waits until its pods are gone."""
        self.helm.run(
            *("uninstall", release, "--namespace", OPERATOR_NAMESPACE, "--ignore-not-found"),
            *("--wait", "--timeout", "2m"),
        )

    def namespace(self, name: str) -> None:
        """Makes a namespace that enforces the restricted profile."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.kubectl.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        )

    def clean(self) -> None:
        """Removes the definition, the services, the operator, and all objects in its namespaces."""
        self.kubectl("delete", "crd", DEFINITION, "--ignore-not-found")
        found = self.kubectl.json("get", "namespaces")["items"]
        names = {body["metadata"]["name"] for body in found} - {"default"}
        for name in sorted(name for name in names if not name.startswith("kube-")):
            self.kubectl("delete", "namespace", name, "--timeout=90s")
        label = ("--selector", "app.kubernetes.io/name=fastapi-operator")
        self.kubectl("delete", "clusterrole,clusterrolebinding", *label)
        here = ("--namespace", "default", "--timeout=90s", "--grace-period=1")
        self.kubectl("delete", "deployment,job,pod,secret,persistentvolumeclaim", "--all", *here)
        others = ("--field-selector", "metadata.name!=kubernetes")
        self.kubectl("delete", "service", *others, *here)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Platform]:
    """Yields the node. It is always stopped afterwards, unless ``KEEP_NODE=1`` keeps it."""
    running = node.Node(NODE)
    try:
        running.start(with_images=True)
        running.build_images(["hello"])
        running.name_image("operator", public("image.digest"))
        for name in _OPERANDS:
            running.name_image(name, public(f"settings.images.{name}.digest"))
        for reference in EXAMPLES:
            running.name_image("hello", reference)
        kubectl = Kubectl(str(running.programs / "kubectl"), running.kubeconfig)
        yield Platform(running, kubectl, Helm(chosen_helm(), running.kubeconfig))
    finally:
        if not os.environ.get("KEEP_NODE"):
            running.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Yields a browser with an empty profile."""
    packages.ensure(PACKAGES)
    with browser() as running:
        yield running


@pytest.fixture
def platform(cluster: Platform) -> Iterator[Platform]:
    """Yields the cluster without our objects, and removes them after the test."""
    cluster.clean()
    yield cluster
    cluster.clean()


def public(value: str) -> str:
    """The image that a value of the operator's chart pins, as images.txt lists it."""
    lines = (ROOT / "manifests/images.txt").read_text().splitlines()
    (reference,) = (line.split()[0] for line in lines if line.endswith(f" {value}"))
    return reference
