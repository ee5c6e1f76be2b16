"""The running shop, and one change of it under load."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.cluster import node
from tests.demo import story, targets
from tests.kubectl import eventually
from tests.resilience import sampling
from tests.resilience.load import Load
from tests.resilience.logs import Logs
from tests.resilience.outcome import Outcome
from tests.resilience.scenarios import ENVIRONMENT, Bench, Scenario
from tests.resilience.traffic import Traffic

NODE = NAMESPACE = "resilience"
MANIFEST = Path(__file__).resolve().parents[1] / "demo" / "shop.yaml"
# The same app with another name: the rollout is measured, not a difference of versions.
NEXT_IMAGE = "registry.example.com/shop:next"
# Before the change: connections are open and caches filled.
_WARM_SECONDS = 5
_TIMEOUT_SECONDS = 60
# A generator that was later than this sent the missed requests all at once, not at its rate.
_LATE_SECONDS = 1.0


@contextlib.contextmanager
def prepared() -> Iterator[tuple[Bench, Logs]]:
    """A node with the operator and the shop, Ready, and the logs of the shop's pods."""
    target = targets.LocalNode(NODE)
    try:
        cluster = target.prepare()
        started = node.Node(NODE)
        started.name_image("sample-app", NEXT_IMAGE)
        story.install_operator(cluster)
        images = (cluster.app_image, NEXT_IMAGE)
        bench = Bench(cluster.kubectl, cluster.app_image, NAMESPACE, images=images)
        apply(bench)
        folder = started.pod_logs.with_name("kept-logs")
        yield bench, Logs(started.pod_logs, NAMESPACE, folder)
    finally:
        target.remove()


def apply(bench: Bench) -> None:
    """Returns the demo's shop with two pods, so that only the scenarios scale it."""
    manifest = yaml.safe_load(MANIFEST.read_text().replace("APP_IMAGE", bench.app_image))
    manifest["metadata"]["namespace"] = bench.namespace
    manifest["spec"] |= {
        "scaling": {"replicas": 2},
        "env": list(ENVIRONMENT),
    }
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": bench.namespace, "labels": labels}
    bench.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, manifest)
    bench.wait_until_ready()


def run(bench: Bench, scenario: Scenario, *, requests: int, rate: float) -> Outcome:
    """One scenario: at least so many requests, and until the change is over.

    Raises:
        AssertionError: The machine did not carry the load, so that the run shows nothing.
    """
    traffic = Traffic(bench)
    traffic.warm()
    with (
        sampling.database_connections(bench) as backends,
        Load(bench.address, traffic.requests(), rate=rate) as load,
    ):
        # A request that is lost before the change is caused by the machine and would hide others.
        eventually(
            lambda: load.carried(_WARM_SECONDS),
            seconds=_TIMEOUT_SECONDS,
            what=f"the machine carries {rate:g} requests/s",
        )
        before, began = len(load.answers), time.monotonic()
        scenario.change(bench)
        ended = time.monotonic()
        load.wait_for(before + requests)
    late = load.late_seconds
    assert late <= _LATE_SECONDS, f"void: the generator was {late:.1f} s late, for want of a CPU"
    twice, unaccounted = traffic.unaccounted(load.answers)
    measured = [answer for answer in load.answers if answer.at >= began - _WARM_SECONDS]
    return Outcome(
        name=scenario.name,
        answers=sorted(measured, key=lambda answer: answer.at),
        began=began,
        ended=ended,
        database_gone=scenario.database_gone,
        twice=twice,
        unaccounted=unaccounted,
        backends=max(backends, default=0),
    )
