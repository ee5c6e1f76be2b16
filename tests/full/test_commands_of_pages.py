"""Commands that look into a running service, typed as the pages about parts and alerts have them.

The test checks that they run: names, containers, columns and paths are correct. The state that a
page is about is not made.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import traefik
from tests.docs import blocks
from tests.docs.test_blocks import name
from tests.full.conftest import EXAMPLES, Platform, public
from tests.full.test_pages import PAGES as WITH_A_LIFE_OF_THEIR_OWN
from tests.full.test_pages import environment
from tests.judges import modules
from tests.kubectl import Kubectl, eventually

pytestmark = pytest.mark.node

LIVE = [page for page in blocks.pages("node") if name(page) not in WITH_A_LIFE_OF_THEIR_OWN]
# Setting of the operator's image, and how the node calls its own build of it.
EXPORTERS = {
    "postgresExporter": "postgres-exporter",
    "pgbouncerExporter": "pgbouncer-exporter",
    "redisExporter": "redis-exporter",
}
# It has every part that a page looks into.
SHOP = f"""
apiVersion: fastapi-operator.io/v1alpha1
kind: FastAPIService
metadata: {{name: shop, namespace: default}}
spec:
  image: {EXAMPLES[0]}
  app: shop.main:app
  server: {{probes: {{source: Runtime}}}}
  resources: {{requests: {{cpu: 100m}}}}
  scaling: {{minReplicas: 1, maxReplicas: 2}}
  proxy: {{replicas: 1}}
  redis: {{memory: 64Mi}}
  queue: {{memory: 64Mi, persistence: {{size: 1Gi}}}}
  postgres:
    storage: {{size: 1Gi}}
    resources: {{requests: {{cpu: 100m, memory: 256Mi}}}}
    migrations: {{}}
    backup: {{}}
  background:
    - {{name: worker, command: [sleep, infinity], connectionsPerProcess: 0}}
  schedules:
    - {{name: report, schedule: "0 6 * * 1-5", command: [date]}}
"""


@pytest.fixture(scope="module")
def words(cluster: Platform) -> Iterator[dict[str, str]]:
    """Creates a shop with every part, waits until it is Ready, and returns the replacements."""
    kubectl = cluster.kubectl
    cluster.clean()
    for module in (modules.PROMETHEUS, modules.FLUX, modules.FLUX_SOURCES):
        for body in modules.definitions(module):
            kubectl("apply", "--server-side", "-f", "-", stdin=traefik.text(body))
    cluster.node.build_images(["exporters"])
    for setting, image in EXPORTERS.items():
        cluster.node.name_image(image, public(f"settings.images.{setting}.digest"))
    cluster.node.name_image("sample-app", EXAMPLES[0])
    cluster.install()
    for namespace in ("monitoring", "flux-system", "team-a"):
        kubectl("create", "namespace", namespace)
    kubectl("apply", "-f", "-", stdin=SHOP)
    try:
        kubectl("wait", "fas/shop", "--for=condition=Ready", "--timeout=240s")
        yield {
            "NAMESPACE": "default",
            "SERVICE": "shop",
            "NAME": "shop",
            "KIND": "deployment",
            "NODE": cluster.node.name,
            "TABLE": "items",
            "20": "2",  # seconds of a profile
            "POD": eventually(lambda: pod(kubectl), seconds=60, what="a pod of the app"),
        }
    finally:
        cluster.clean()
        cluster.node.name_image("hello", EXAMPLES[0])


def pod(kubectl: Kubectl) -> str:
    """A running pod of the app."""
    selector = "fastapi-operator.io/service=shop,app.kubernetes.io/component=app"
    path = "jsonpath={.items[0].metadata.name}"
    return kubectl("get", "pods", "-n", "default", "-l", selector, "-o", path)


@pytest.mark.parametrize("page", LIVE, ids=name)
def test_the_commands_of_a_page_run(
    cluster: Platform, words: dict[str, str], page: Path, tmp_path: Path
) -> None:
    # The state that a page assumes.
    (tmp_path / "service.yaml").write_text(SHOP)
    (tmp_path / "settings.yaml").write_text("{}\n")
    known = environment(cluster) | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    chosen = [block for block in blocks.blocks(page) if block.where == "node"]
    blocks.run(chosen, tmp_path, environment=known, words=words, seconds=60)
    # Two pages make a Job of the same name.
    cluster.kubectl("delete", "job", "dump-now", "--namespace", "default", "--ignore-not-found")
