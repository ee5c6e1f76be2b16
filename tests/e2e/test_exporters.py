"""Exporters of a running service expose every metric in the table, with correct counts."""

import dataclasses
import re
from collections.abc import Iterator

import pytest

from fastapi_operator.observability.exported import EXPORTED
from fastapi_operator.observability.metrics import Kind, Metric, Source
from tests.cluster import node
from tests.demo.story import install_operator
from tests.demo.targets import Cluster, image_values
from tests.e2e.conftest import NODE, Shop
from tests.kubectl import eventually

pytestmark = pytest.mark.node

NAMESPACE = "exporters"
IMAGES = {
    "postgresExporter": "postgres-exporter",
    "pgbouncerExporter": "pgbouncer-exporter",
    "redisExporter": "redis-exporter",
}
SPEC = {
    "app": "shop.main:app",
    "server": {"probes": {"source": "Runtime"}},
    "resources": {"requests": {"cpu": "100m"}},
    "scaling": {"replicas": 1},
    "redis": {"memory": "64Mi"},
    "queue": {"memory": "64Mi"},
    "postgres": {
        "storage": {"size": "1Gi"},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
        "migrations": {},
    },
    "proxy": {"replicas": 1, "cache": {"routes": [{"path": "/items", "seconds": 1}]}},
    # The cluster has no PodMonitors, so the spec must request the exporters.
    "observability": {"metrics": {"exporters": True}},
}


@pytest.fixture(scope="module")
def observed(cluster: Cluster) -> Iterator[Shop]:
    """A service whose operands have exporters, Ready."""
    started = node.Node(NODE)
    started.build_images(["exporters"])
    values = [
        value
        for setting, name in IMAGES.items()
        for value in image_values(f"settings.images.{setting}", started.image(name))
    ]
    install_operator(dataclasses.replace(cluster, values=(*cluster.values, *values)))
    running = Shop(cluster.kubectl, cluster.app_image, namespace=NAMESPACE)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": labels},
        },
        {
            "apiVersion": "fastapi-operator.io/v1alpha1",
            "kind": "FastAPIService",
            "metadata": {"name": "shop", "namespace": NAMESPACE},
            "spec": {"image": cluster.app_image, **SPEC},
        },
    )
    try:
        running.wait_until_ready()
        yield running
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def scrape(shop: Shop, part: str) -> str:
    """The page of metrics of the one pod of a part."""
    selector = f"fastapi-operator.io/service=shop,app.kubernetes.io/component={part}"
    (pod,) = shop.kubectl.json("get", "pods", "-n", shop.namespace, "-l", selector)["items"]
    (port,) = (
        port["containerPort"]
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
        for port in container.get("ports", ())
        if port["name"] == "metrics"
    )
    path = f"/api/v1/namespaces/{shop.namespace}/pods/{pod['metadata']['name']}:{port}"
    return shop.kubectl("get", "--raw", f"{path}/proxy/metrics")


def samples(page: str, name: str) -> dict[str, float]:
    """The samples of a name, by their labels as they are written."""
    found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", page, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def is_exposed(metric: Metric, page: str) -> bool:
    """Whether a page has a sample of a metric, of its kind and with its labels."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    shown = samples(page, metric.series)
    own = set(metric.labels) | ({"le"} if metric.kind is Kind.HISTOGRAM else set())
    names = [set(re.findall(r'(\w+)="', labels)) for labels in shown]
    # An exporter may declare a counter for a value that is not one.
    is_kind = metric.kind is Kind.GAUGE or kinds.get(metric.name) == metric.kind
    return is_kind and any(own <= labels for labels in names)


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("database", Source.POSTGRES),
        ("pooler", Source.PGBOUNCER),
        ("cache", Source.REDIS),
        ("queue", Source.REDIS),
        ("proxy", Source.PROXY),
    ],
)
def test_an_exporter_exposes_the_metrics_of_the_table(
    observed: Shop, part: str, source: Source
) -> None:
    assert observed.request("GET", "/items").status == 200
    for pod in ("deploy/shop-redis", "shop-queue-0"):  # the metric exists after the first error
        wrong = ("redis-cli", "--user", "monitor", "no-such-command")
        observed.kubectl("exec", "-n", NAMESPACE, pod, "-c", "redis", "--", *wrong)
    # Caddy and a canary are not here, and nothing is rejected: unit tests of the exporters count
    # these.
    elsewhere = ("caddy_", "fastapi_proxy_shed_total", "fastapi_proxy_version_")
    from_here = (metric for metric in EXPORTED if not metric.name.startswith(elsewhere))
    wanted = [metric for metric in from_here if metric.source is source]

    def missing() -> list[str]:
        page = scrape(observed, part)
        return [metric.name for metric in wanted if not is_exposed(metric, page)]

    eventually(lambda: not missing(), seconds=30, what=f"metrics of the {part}")


def test_the_proxys_exporter_counts_the_requests_of_clients(observed: Shop) -> None:
    def counted() -> dict[str, float]:
        return samples(scrape(observed, "proxy"), "fastapi_proxy_request_duration_seconds_count")

    before = counted()
    for _ in range(150):
        assert observed.request("GET", "/items").status == 200
    for _ in range(50):
        assert observed.request("GET", "/not-there").status == 404

    def new(status: int) -> float:
        labels = f'http_request_method="GET",http_response_status_code="{status}"'
        return counted().get(labels, 0) - before.get(labels, 0)

    eventually(lambda: (new(200), new(404)) == (150, 50), seconds=10, what="each request, once")
