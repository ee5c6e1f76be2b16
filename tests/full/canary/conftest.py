"""A node for all tests of canaries, and the shop with canaries on it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import yaml

from tests.cluster import node
from tests.demo import story, targets
from tests.demo.targets import image_values
from tests.full.canary.course import COURSE, READY_SECONDS, canary, command, released
from tests.kubectl import Kubectl, eventually
from tests.resilience.measure import MANIFEST
from tests.resilience.scenarios import ENVIRONMENT, Bench

# Two checkouts may have a node at the same time, and two processes may test two services on one.
NODE = os.environ.get("NODE", "canary")
NAMESPACE = os.environ.get("NAMESPACE", "canary")
GOOD_IMAGE = "registry.example.com/shop:next"


@dataclass(frozen=True)
class Platform:
    """A node with the operator.

    Attributes:
        kubectl: Reaches it.
        image: The image of the apps that can be made worse.
        helm: The helm that installed the operator.
    """

    kubectl: Kubectl
    image: str
    helm: str


@pytest.fixture(scope="package")
def platform() -> Iterator[Platform]:
    """The node; ``KEEP_NODE=1`` keeps it for the next run."""
    target, started = targets.LocalNode(NODE), node.Node(NODE)
    try:
        cluster = target.prepare()
        started.build_images(["caddy", "worse"])
        started.name_image("worse", GOOD_IMAGE)
        values = image_values("settings.images.caddy", started.image("caddy"))
        story.install_operator(replace(cluster, values=(*cluster.values, *values)))
        yield Platform(cluster.kubectl, started.image("worse"), cluster.helm)
    finally:
        if not os.environ.get("KEEP_NODE"):
            target.remove()


@pytest.fixture(scope="package")
def bench(platform: Platform) -> Bench:
    """The shop with canaries, released."""
    image = platform.image
    running = Bench(platform.kubectl, image, NAMESPACE, images=(image, GOOD_IMAGE))
    manifest = yaml.safe_load(MANIFEST.read_text().replace("APP_IMAGE", image))
    manifest["metadata"]["namespace"] = NAMESPACE
    manifest["spec"] |= {
        "app": "shop_app:app",
        "scaling": {"replicas": 2},
        # Two services fit on a node of two cores.
        "resources": {"requests": {"cpu": "60m"}},
        "env": [*ENVIRONMENT],
        "rollout": {"canary": COURSE},
    }
    running.kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    )
    # A node that was kept may have another version.
    if not running.kubectl.exists("fas", running.name, "-n", NAMESPACE):
        running.kubectl.apply(manifest)
    eventually(lambda: released(running), seconds=READY_SECONDS, what="released", pause=2)
    return running


@pytest.fixture
def shop(bench: Bench) -> Iterator[Bench]:
    """The shop with a released version; whatever a test leaves is replaced by its release."""
    yield bench
    if canary(bench):
        command(bench, "rollback")
    eventually(lambda: released(bench), seconds=READY_SECONDS, what="released", pause=2)
