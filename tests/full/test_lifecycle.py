"""A release from its installation to its removal, while a service keeps responding.

The release before comes from the repository's history (tests/full/releases.py). HELM=4 uses Helm 4.
"""

from typing import Any

import pytest

from tests.charts.conftest import OPERATOR, ROOT, SERVICE
from tests.demo.story import OPERATOR_NAMESPACE
from tests.e2e.conftest import Shop
from tests.full import releases
from tests.full.conftest import DEFINITION, EXAMPLES, RELEASE, Platform
from tests.full.traffic import traffic
from tests.kubectl import eventually

# The first one fills the build caches.
pytestmark = [pytest.mark.node, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def previous(cluster: Platform, tmp_path_factory: pytest.TempPathFactory) -> releases.Release:
    """The release before; the node has its operator."""
    return releases.previous(cluster.node, tmp_path_factory.mktemp("previous"))


def hello(platform: Platform, **more: Any) -> Shop:
    """A hello-world by the service's chart, in a restricted namespace of its own."""
    platform.namespace("life")
    spec = {
        "image": EXAMPLES[0],
        "app": "shop.main:app",
        "resources": {"requests": {"cpu": "50m"}},
        "scaling": {"replicas": 1},
        "proxy": {"replicas": 1},
        "redis": {"memory": "32Mi"},
        **more,
    }
    platform.helm.run("install", "hello", SERVICE, "--namespace", "life", values=spec)
    running = Shop(platform.kubectl, EXAMPLES[0], namespace="life", name="hello")
    running.wait_until_ready()
    return running


def address(shop: Shop) -> str:
    service = shop.kubectl.json("get", "service", shop.name, "-n", shop.namespace)
    return f"http://{service['spec']['clusterIP']}/"


def pods(shop: Shop) -> set[str]:
    found = shop.kubectl.json("get", "pods", "-n", shop.namespace)["items"]
    living = (pod["metadata"] for pod in found if "deletionTimestamp" not in pod["metadata"])
    return {metadata["uid"] for metadata in living}


def pod(shop: Shop, part: str) -> str:
    """The uid of the only pod of a stateful part."""
    name = f"{shop.name}-{part}-0"
    found = shop.kubectl.json("get", "pod", name, "-n", shop.namespace)
    return str(found["metadata"]["uid"])


def operates(platform: Platform) -> None:
    """Waits until all pods of the operator are of the applied manifest."""
    deployment = ("deployment/fastapi-operator", "-n", OPERATOR_NAMESPACE)
    platform.kubectl("wait", "--for=condition=Established", f"crd/{DEFINITION}")
    platform.kubectl("rollout", "status", *deployment, "--timeout=120s")


def obeys(shop: Shop, word: str) -> None:
    """Checks that a change of the service reaches its pods with the running operator."""
    shop.patch({"env": [{"name": "WORD", "value": word}]})

    def applied() -> bool:
        body = shop.kubectl.json("get", "deployment", shop.name, "-n", shop.namespace)
        (container,) = body["spec"]["template"]["spec"]["containers"]
        return {"name": "WORD", "value": word} in container["env"]

    eventually(applied, seconds=60, what=f"the deployment with WORD={word}")
    shop.wait_until_ready()


def test_a_release_is_upgraded_rolled_back_removed_and_replaced(
    platform: Platform, previous: releases.Release
) -> None:
    old = ("--set", f"image.tag={previous.tag}")
    platform.install(previous.chart, *old)
    shop = hello(platform, postgres={"storage": {"size": "1Gi"}})
    platform.helm.run("test", "hello", "--namespace", "life", "--timeout", "2m")
    database = pod(shop, "postgres")

    with traffic(address(shop)) as answers:
        platform.install()
        obeys(shop, "upgraded")
        platform.helm.run("test", "hello", "--namespace", "life", "--timeout", "2m")
        # A field that the release before does not have.
        shop.patch({"tuning": {"mode": "Disabled"}})

        platform.helm.run(
            *("rollback", RELEASE, "--namespace", OPERATOR_NAMESPACE, "--wait", "--timeout", "2m")
        )
        obeys(shop, "rolled-back")
        platform.install()
        obeys(shop, "upgraded-again")
        platform.install(previous.chart, *old)
        obeys(shop, "downgraded")

        before = pods(shop)
        platform.uninstall()
        assert pods(shop) == before
        platform.install(OPERATOR, "--take-ownership", release="another")
        obeys(shop, "replaced")
        assert pod(shop, "postgres") == database
        platform.uninstall(release="another")
    assert answers.lost == []
    assert len(answers) > 500

    # No operator is left to remove a finalizer.
    platform.kubectl("delete", "namespace", "life", "--timeout=60s")


def test_manifests_are_upgraded_and_downgraded(
    platform: Platform, previous: releases.Release
) -> None:
    platform.kubectl("apply", "-f", str(previous.manifest))
    operates(platform)
    shop = hello(platform, postgres={"storage": {"size": "1Gi"}})
    database = pod(shop, "postgres")

    with traffic(address(shop)) as answers:
        for word, manifest in (
            ("upgraded", ROOT / "manifests/install.yaml"),
            ("downgraded", previous.manifest),
            ("upgraded-again", ROOT / "manifests/install.yaml"),
        ):
            # Of the fields that the first, client-side apply owns, some have changed.
            platform.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(manifest))
            operates(platform)
            obeys(shop, word)
        assert pod(shop, "postgres") == database
    assert answers.lost == []
    assert len(answers) > 500


@pytest.mark.parametrize(
    "order",
    [
        ("crd", OPERATOR_NAMESPACE, "life"),
        (OPERATOR_NAMESPACE, "life", "crd"),
        ("life", "crd", OPERATOR_NAMESPACE),
    ],
    ids="-".join,
)
def test_no_order_of_removal_hangs(platform: Platform, order: tuple[str, ...]) -> None:
    platform.install()
    hello(platform)
    for what in order:
        target = ("crd", DEFINITION) if what == "crd" else ("namespace", what)
        platform.kubectl("delete", *target, "--timeout=60s")
    assert not platform.kubectl.exists("namespace", "life")
    assert not platform.kubectl.exists("crd", DEFINITION)
