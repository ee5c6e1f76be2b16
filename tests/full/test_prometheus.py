"""A real Prometheus watches a service under load: every query has a result, and totals are correct.

The Prometheus operator makes it from the monitors and rules that the product makes; the kubelet and
kube-state-metrics are there as on any cluster.
"""

import contextlib
import itertools
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fastapi_operator.observability.dashboards import DASHBOARDS
from fastapi_operator.observability.grafana import Dashboard
from tests.browser import Browser
from tests.charts.conftest import OPERATOR
from tests.docs import dashboards
from tests.e2e.conftest import Shop
from tests.full import frames, monitoring
from tests.full.conftest import EXAMPLES, Platform, public
from tests.full.drawn import drawn_faults
from tests.full.load import Request, generate
from tests.full.monitoring import Prometheus
from tests.full.recording import record
from tests.judges.panels import draw
from tests.kubectl import KubectlError, eventually

# The first run builds the Prometheus operator.
pytestmark = [pytest.mark.node, pytest.mark.timeout(2400)]

NAMESPACE = frames.NAMESPACE
_TOLERANCE = 0.005
RATE, SECONDS = 150, 70
_OPERANDS = ("postgres-exporter", "pgbouncer-exporter", "redis-exporter", "caddy")
SPEC: dict[str, Any] = {
    "app": "shop.main:app",
    "server": {
        "probes": {"source": "Runtime"},
        "workerPolicy": "Fixed",
        "workers": 2,
    },
    "env": [{"name": "LABS", "value": "true"}],
    "resources": {"requests": {"cpu": "200m"}, "limits": {"cpu": "2"}},
    "scaling": {"minReplicas": 2, "maxReplicas": 3},
    "redis": {"memory": "64Mi"},
    "queue": {"memory": "64Mi"},
    "postgres": {
        "storage": {"size": "1Gi"},
        "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}},
        "migrations": {},
        "backup": {"schedule": "* * * * *"},
    },
    "proxy": {
        "replicas": 1,
        "cache": {"routes": [{"path": "/labs/label", "seconds": 1}]},
        "timeouts": {"readSeconds": 4},
    },
    "observability": {
        "metrics": {"intervalSeconds": 5},
        "slo": {"availabilityPercent": "99", "latencyMilliseconds": 250},
    },
}
# An app without metrics, behind the other proxy, with an autoscaler by requests in flight.
EDGE: dict[str, Any] = {
    "image": EXAMPLES[0],
    "app": "shop.main:app",
    "resources": {"requests": {"cpu": "50m"}},
    "scaling": {"minReplicas": 1, "maxReplicas": 2, "targetInFlight": 30},
    "proxy": {"engine": "Caddy", "replicas": 1},
    "observability": {"metrics": {"enabled": False, "intervalSeconds": 5}},
}
# Repeated: responses of all kinds, fast and slow, with and without database, cache and threads.
_ITEM = "/items/{item_id}"
REQUESTS = (
    *(Request("/items", "/items"),) * 5,
    *(Request("/items/1", _ITEM),) * 5,
    Request("/items", "/items", "POST", b'{"name": "engine", "price_cents": 100}'),
    Request("/items/999999", _ITEM),
    Request("/items?limit=0", "/items"),
    Request("/labs/async?seconds=0.4", "/labs/async"),
    Request("/labs/sync?seconds=0.05", "/labs/sync"),
    Request("/labs/error", "/labs/error"),
    Request("/nowhere", ""),
)
TOO_SLOW = Request("/labs/async?seconds=5", "/labs/async")
CACHED = Request("/labs/label?price_cents=100", "/labs/label")


@dataclass
class Watched:
    """The service, its Prometheus, and the events so far."""

    shop: Shop
    prometheus: Prometheus
    began: float

    def address(self, service: str = "shop") -> str:
        found = self.shop.kubectl.json("get", "service", service, "-n", NAMESPACE)
        return f"http://{found['spec']['clusterIP']}"


@pytest.fixture(scope="module")
def watched(cluster: Platform) -> Iterator[Watched]:
    """The service behind nginx, Ready, on a cluster that was watched before it came."""
    cluster.clean()
    cluster.node.build_images(["monitoring", "exporters", "caddy"])
    for name in _OPERANDS:
        setting = re.sub(r"-e", "E", name)
        cluster.node.name_image(name, public(f"settings.images.{setting}.digest"))
    prometheus = monitoring.install(cluster.node, cluster.kubectl)
    began = time.time()
    cluster.install(OPERATOR, "--set", "serviceMonitor.interval=5s")
    cluster.namespace(NAMESPACE)
    image = cluster.node.image("sample-app")
    for name, spec in {"shop": {"image": image, **SPEC}, "edge": EDGE}.items():
        cluster.kubectl.apply(
            {
                "apiVersion": "fastapi-operator.io/v1alpha1",
                "kind": "FastAPIService",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": spec,
            }
        )
    shop = Shop(cluster.kubectl, image, namespace=NAMESPACE)
    try:
        shop.wait_until_ready()
        proxied = ("--for=condition=ProxyReady", "--timeout=120s")
        cluster.kubectl("wait", "fas/edge", "-n", NAMESPACE, *proxied)
        yield Watched(shop, prometheus, began)
    finally:
        monitoring.remove(cluster.kubectl)
        cluster.clean()


def _down(prometheus: Prometheus) -> list[str]:
    return [
        f"{target['scrapePool']} {target['scrapeUrl']}: {target['lastError']}"
        for target in prometheus.get("targets", state="active")["activeTargets"]
        if target["health"] != "up"
    ]


def test_every_target_of_every_monitor_is_up(watched: Watched) -> None:
    def wanted() -> set[str]:
        monitors = watched.shop.kubectl.json(
            "get", "servicemonitor,podmonitor", "--all-namespaces"
        )["items"]
        return {
            f"{body['kind'][0].lower()}{body['kind'][1:]}/{body['metadata']['namespace']}/"
            f"{body['metadata']['name']}/{number}"
            for body in monitors
            for number, _ in enumerate(
                body["spec"].get("endpoints") or body["spec"]["podMetricsEndpoints"]
            )
        }

    def missing() -> list[str]:
        found = watched.prometheus.get("targets", state="active")["activeTargets"]
        return [*wanted() - {target["scrapePool"] for target in found}, *_down(watched.prometheus)]

    try:
        # A monitor reaches Prometheus with its configuration, a Secret that the kubelet renews.
        eventually(lambda: not missing(), seconds=180, what="all targets up", pause=3)
    finally:
        print("\n".join(missing()))
    parts = watched.prometheus.now(
        f'count by (app_kubernetes_io_component) (up{{namespace="{NAMESPACE}"}})'
    )
    assert {series["metric"].get("app_kubernetes_io_component") for series in parts} >= {
        *("app", "proxy", "pooler", "database", "cache", "queue")
    }


_APP = "sum by (http_response_status_code) (http_server_request_duration_seconds_count{%s})"
_PROXY = "sum by (http_response_status_code) (fastapi_proxy_request_duration_seconds_count{%s})"


def _counted(prometheus: Prometheus, query: str) -> Counter[str]:
    where = f'namespace="{NAMESPACE}", fastapi_operator_io_service="shop"'
    return Counter(
        {
            series["metric"]["http_response_status_code"]: int(float(series["value"][1]))
            for series in prometheus.now(query % where)
        }
    )


def test_totals_are_those_of_the_load_generator(watched: Watched) -> None:
    # Each request once before, so that every series starts at zero.
    before = {query: _counted(watched.prometheus, query) for query in (_APP, _PROXY)}
    load = generate(watched.address(), REQUESTS, rate=RATE, seconds=SECONDS)
    sent: Counter[str] = Counter()
    for (_, status), count in load.answers.items():
        sent[status] += count
    rows: list[tuple[str, str, int, int, float]] = []

    def equal() -> bool:
        rows.clear()
        for name, query in (("app", _APP), ("proxy", _PROXY)):
            counted = _counted(watched.prometheus, query)
            counted.subtract(before[query])
            for status in sorted(sent):
                # The app does not see requests that the proxy answers itself.
                meant = 0 if name == "app" and status in ("502", "504") else sent[status]
                share = abs(counted[status] - meant) / sent[status]
                rows.append((name, status, sent[status], counted[status], share))
        return all(share <= _TOLERANCE for *_, share in rows)

    try:
        eventually(equal, seconds=40, what="the totals of the load generator", pause=3)
    finally:
        record(
            "prometheus-totals",
            "| counted by | status | sent | counted | difference |",
            [
                f"| {name} | {status} | {sent} | {counted} | {share:.2%} |"
                for name, status, sent, counted, share in rows
            ],
        )
    assert load.rate >= 100
    assert {"200", "201", "404", "422", "500"} <= sent.keys()


# --- each panel -----------------------------------------------------------------------------------
def _refused_changes(watched: Watched) -> None:
    """Makes a change by another client, which the operator reverts, and one that must fail."""
    shop = watched.shop
    shop.kubectl("scale", "deployment", "shop-pooler", "-n", NAMESPACE, "--replicas=3")
    shop.patch({"postgres": {"migrations": {"command": ["false"]}}})
    eventually(
        lambda: shop.condition("MigrationsReady").get("reason") == "MigrationFailed",
        seconds=120,
        what="the failure of a migration",
    )


def _moment(prometheus: Prometheus) -> float:
    """Returns the last time under load at which most targets responded, and all is written."""
    now, query = time.time(), f'sum (up{{namespace="{NAMESPACE}"}})'
    times = {"start": str(now - 50), "end": str(now - 10), "step": "5"}
    (found,) = prometheus.get("query_range", query=query, **times)["result"]
    most = max(float(count) for _, count in found["values"])
    return max(float(at) for at, count in found["values"] if float(count) == most)


@pytest.fixture(scope="module")
def results(watched: Watched) -> frames.Results:
    """Returns the data of all panels under load."""
    _refused_changes(watched)
    generate(watched.address("edge"), [Request("/", "/")], rate=20, seconds=10)
    generate(watched.address(), (*REQUESTS, *(CACHED,) * 5), rate=60, seconds=60)
    models, until = [dashboard.model() for dashboard in DASHBOARDS], _moment(watched.prometheus)
    return frames.execute(watched.prometheus.get, models, watched.began, until)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_grafana_draws_each_panel_of_the_watched_service(
    results: frames.Results, chromium: Browser, dashboard: Dashboard, dark: bool
) -> None:
    assert drawn_faults(chromium, dashboard, results, dark=dark) == {}


@pytest.mark.skipif("RECORD" not in os.environ, reason="only to renew the pictures")
@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
def test_the_pictures_are_of_the_first_screens(
    results: frames.Results, chromium: Browser, dashboard: Dashboard
) -> None:
    model = dashboards.first_screen(dashboard)
    draw(chromium, model, results.frames(model), between=(results.since, results.until))
    chromium.picture(dashboards.picture(dashboard))
    dashboards.note(dashboard)


# --- each query -----------------------------------------------------------------------------------


def _weighed(expression: str) -> str:
    """Returns an alert's expression with a result in any case, instead of an empty one.

    Comparisons return 0 or 1, excluding series must exist too, and a day is shortened.
    """
    text = re.sub(r"(?<=\s)(>=|<=|==|!=|>|<)(?=\s)", r"\1 bool", expression)
    return re.sub(r"\bunless\b", "and", text).replace(" offset 23h", "")


def _queries(prometheus: Prometheus) -> Iterator[tuple[str, str]]:
    """Returns every query of panels, annotations, variables and rules, by its location."""
    for dashboard in DASHBOARDS:
        model = dashboard.model()
        for panel in model["panels"]:
            for target in panel.get("targets", ()):
                yield f"{dashboard.name}: {panel['title']}: {target['refId']}", target["expr"]
        for mark in model["annotations"]["list"]:
            yield f"{dashboard.name}: mark {mark['name']}", mark["expr"]
        for variable in dashboard.variables:
            series, label = re.findall(r"^label_values\((.+), (\w+)\)$", variable.query)[0]
            yield f"{dashboard.name}: choice {variable.name}", f"group by ({label}) ({series})"
    for group in prometheus.get("rules")["groups"]:
        for rule in group["rules"]:
            assert rule["health"] == "ok", rule
            yield f"{rule['type']}: {rule['name']}", _weighed(rule["query"])


def _trouble(watched: Watched) -> None:
    """Causes the events whose series a healthy service does not have."""
    shop, where = watched.shop, ("-n", NAMESPACE)
    _refused_changes(watched)
    generate(watched.address(), [TOO_SLOW], rate=5, seconds=2)
    # All pods of both apps end until the kubelet delays their next start: clients get errors, and
    # pods are missing for longer than a scrape interval. The last time they end after
    # a process in them took all memory there is.
    apps = ("-l", "app.kubernetes.io/component=app", "-o", "name")
    pods = shop.kubectl("get", "pods", *where, *apps).split()
    end, leak = "import os; os.kill(1, 15)", "b'x' * (64 << 30)"
    for programs in ((end,), (end,), (leak, end)):
        for pod, program in itertools.product(pods, programs):
            with contextlib.suppress(KubectlError):
                shop.kubectl("exec", *where, pod, "-c", "app", "--", "python3", "-c", program)
        for service in ("edge", "shop"):
            generate(watched.address(service), [Request("/nowhere", "")], rate=20, seconds=3)
        time.sleep(8)
    time.sleep(10)


def _is_elsewhere(selector: str) -> bool:
    """Whether a selector is of CloudNativePG, whose series test_cloudnativepg.py finds."""
    return '__name__="cnpg_' in selector


def test_every_query_of_every_panel_and_rule_has_a_result(watched: Watched) -> None:
    prometheus = watched.prometheus
    generate(watched.address(), [CACHED], rate=50, seconds=10)
    generate(watched.address("edge"), [Request("/", "/")], rate=20, seconds=10)
    _trouble(watched)
    until = time.time()

    def unanswered(query: str) -> str:
        # Each of its selectors as well, because an `or` would hide a selector without series.
        parts = (query, *(p for p in prometheus.selectors(query) if not _is_elsewhere(p)))
        return next((p for p in parts if not prometheus.samples(p, watched.began, until)), "")

    queries = [
        (name, query)
        for name, query in _queries(prometheus)
        if not all(map(_is_elsewhere, prometheus.selectors(query)))
    ]
    without = dict[str, str]()
    for name, query in queries:
        # Behind nginx, else behind Caddy: no service has both.
        missing = [unanswered(frames.filled(query, service)) for service in ("shop", "edge")]
        if all(missing):
            without[name] = missing[0]
    record(
        "prometheus-queries",
        "| queries of panels, annotations, variables and rules | with data | without, and why |",
        [
            f"| {len(queries)} | {len(queries) - len(without)} | "
            + "; ".join(f"{name} ({why})" for name, why in sorted(without.items()))
            + " |"
        ],
    )
    assert without == {}
