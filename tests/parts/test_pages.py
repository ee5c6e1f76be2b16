"""The commands of docs/parts, typed as the pages have them, looking into one shop with every part.

That they run is what is asked: names, containers, users and paths are right.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import node
from tests.demo.story import install_operator
from tests.demo.targets import Cluster, image_values
from tests.docs import blocks
from tests.docs.test_blocks import name
from tests.e2e.conftest import NODE, Shop
from tests.e2e.test_exporters import IMAGES, SPEC
from tests.parts.conftest import service

pytestmark = pytest.mark.node

NAMESPACE = "pages"
SHOP = {
    **SPEC,
    "scaling": {"minReplicas": 1, "maxReplicas": 2},
    "postgres": {**SPEC["postgres"], "backup": {}},
    "background": [{"name": "worker", "command": ["sleep", "infinity"]}],
    "schedules": [{"name": "report", "schedule": "0 6 * * 1", "command": ["date"]}],
}
PAGES = [page for page in blocks.pages("node") if name(page).startswith("docs/parts/")]
WORDS = {"NAME": "shop", "NAMESPACE": NAMESPACE}


@pytest.fixture(scope="module")
def environment(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """That of somebody who works in the namespace of a shop that is Ready."""
    started = node.Node(NODE)
    started.build_images(["mtail", "exporters"])
    values = [
        value
        for setting, image in IMAGES.items()
        for value in image_values(f"settings.images.{setting}", started.image(image))
    ]
    install_operator(dataclasses.replace(cluster, values=(*cluster.values, *values)))
    shop = Shop(cluster.kubectl, cluster.app_image, NAMESPACE)
    service(shop, SHOP)
    kubeconfig = tmp_path_factory.mktemp("pages") / "kubeconfig"
    shutil.copy(started.kubeconfig, kubeconfig)
    kubectl = dataclasses.replace(cluster.kubectl, kubeconfig=kubeconfig)
    kubectl("config", "set-context", "--current", "--namespace", NAMESPACE)
    try:
        shop.wait_until_ready()
        yield {
            "PATH": f"{started.programs}{os.pathsep}{os.environ['PATH']}",
            "KUBECONFIG": str(kubeconfig),
        }
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def test_every_page_has_a_command_that_runs_here() -> None:
    parts = [page for page in blocks.PAGES if name(page).startswith("docs/parts/")]
    assert parts == PAGES


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_commands_of_a_page_run(
    cluster: Cluster, environment: dict[str, str], page: Path, tmp_path: Path
) -> None:
    live = cluster.kubectl.json("get", "fas", "shop", "-n", NAMESPACE)
    wanted = {key: live[key] for key in ("apiVersion", "kind", "spec")}
    (tmp_path / "service.yaml").write_text(json.dumps({**wanted, "metadata": {"name": "shop"}}))
    chosen = [block for block in blocks.blocks(page) if block.where == "node"]
    blocks.run(chosen, tmp_path, environment=environment, words=WORDS, seconds=90)
