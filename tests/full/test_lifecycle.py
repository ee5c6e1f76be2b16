"""A release from its installation to its removal, while a service keeps responding.

The chart and the operator of the release before come from the repository's history: its newest
version tag, and until one is there the commit that gave generated credentials their present keys,
since what came before was never released. So no package of a chart has to be kept, and what is
upgraded runs its own code. ``PREVIOUS=REF`` names another one; HELM=4 does all of it with Helm 4.
"""

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.charts.conftest import OPERATOR, ROOT, SERVICE
from tests.cluster import buildah, images
from tests.demo.story import OPERATOR_NAMESPACE
from tests.e2e.conftest import Shop
from tests.full.conftest import DEFINITION, EXAMPLES, RELEASE, Platform
from tests.full.traffic import traffic
from tests.kubectl import eventually

# The first one fills the build caches.
pytestmark = [pytest.mark.node, pytest.mark.timeout(900)]

_TAG = "previous"
_REPOSITORY = "ghcr.io/fastapi-operator/fastapi-operator"


@pytest.fixture(scope="module")
def previous(cluster: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart of the release before; the node has its operator, with the tag ``previous``."""
    folder = tmp_path_factory.mktemp("previous")
    archive = folder / "source.tar"
    ref = os.environ.get("PREVIOUS") or _newest_tag() or _first_that_rotates()
    _git("archive", "--output", str(archive), ref)
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    (base,) = images.build(["python"])
    built = "localhost/fastapi-operator/previous:latest"
    buildah.build(
        built,
        dockerfile=folder / "operator/Dockerfile",
        context=folder,
        arguments={"PYTHON_IMAGE": base.references[0]},
        log=folder / "build.log",
    )
    buildah.save(built, folder / "operator.tar", f"{_REPOSITORY}:{_TAG}")
    cluster.node.load_images([str(folder / "operator.tar")])
    return folder / "charts/fastapi-operator"


def _newest_tag() -> str:
    return _git("tag", "--list", "v*", "--sort=-version:refname").partition("\n")[0]


def _first_that_rotates() -> str:
    path = "operator/fastapi_operator/reconcile/plan/rotation.py"
    return _git("log", "--diff-filter=A", "--format=%H", "--", path).split()[-1]


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def hello(platform: Platform) -> Shop:
    """A hello-world by the service's chart, in a restricted namespace of its own."""
    platform.namespace("life")
    spec = {
        "image": EXAMPLES[0],
        "app": "shop.main:app",
        "resources": {"requests": {"cpu": "50m"}},
        "scaling": {"replicas": 1},
        "proxy": {"replicas": 1},
        "redis": {"memory": "32Mi"},
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
    platform: Platform, previous: Path
) -> None:
    platform.install(previous, "--set", f"image.tag={_TAG}")
    shop = hello(platform)
    platform.helm.run("test", "hello", "--namespace", "life", "--timeout", "2m")

    with traffic(address(shop)) as answers:
        platform.install()
        obeys(shop, "upgraded")
        platform.helm.run("test", "hello", "--namespace", "life", "--timeout", "2m")

        platform.helm.run(
            *("rollback", RELEASE, "--namespace", OPERATOR_NAMESPACE, "--wait", "--timeout", "2m")
        )
        obeys(shop, "rolled-back")

        before = pods(shop)
        platform.uninstall()
        assert pods(shop) == before
        platform.install(OPERATOR, "--take-ownership", release="another")
        obeys(shop, "replaced")
        platform.uninstall(release="another")
    assert answers.lost == []
    assert len(answers) > 500

    # No operator is left to remove a finalizer.
    platform.kubectl("delete", "namespace", "life", "--timeout=60s")


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
