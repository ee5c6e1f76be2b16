"""python -m tests.resilience [--only WORD ...] [--requests N] [--rate N] [--write]

Changes a running service under a constant load, one change after the other, and counts the requests
that were lost. Each change is recorded in build/resilience.json as it ends, so that they may be
run one by one; the table in docs/benchmarks.md is made of the record.
"""

import argparse
import contextlib
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from tests.benchmarks import document
from tests.cluster import node, progress
from tests.demo import story, targets
from tests.kubectl import eventually
from tests.resilience import crowd, outcome, sampling
from tests.resilience.crowd import Crowd
from tests.resilience.load import Load
from tests.resilience.outcome import Outcome
from tests.resilience.scenarios import ENVIRONMENT, SCENARIOS, Bench, Scenario
from tests.resilience.traffic import Traffic

NODE = NAMESPACE = "resilience"
RECORD = Path(__file__).resolve().parents[2] / "build" / "resilience.json"
MANIFEST = Path(__file__).resolve().parents[1] / "demo" / "shop.yaml"
# Before the change: connections are open and caches filled.
_WARM_SECONDS = 5
_PATIENCE_SECONDS = 60


@contextlib.contextmanager
def prepared() -> Iterator[Bench]:
    """A node with the operator and the shop, Ready."""
    target = targets.LocalNode(NODE)
    try:
        cluster = target.prepare()
        started = node.Node(NODE)
        started.build_images(["hello"])
        story.install_operator(cluster)
        images = (cluster.app_image, started.image("hello"))
        bench = Bench(cluster.kubectl, cluster.app_image, NAMESPACE, images=images)
        apply(bench)
        yield bench
    finally:
        target.remove()


def apply(bench: Bench) -> None:
    """The shop of the demo with two pods, so that nothing but the scenarios scales it."""
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
    """One scenario: at least so many requests, and until the change is over."""
    traffic = Traffic(bench)
    traffic.warm()
    service = bench.kubectl.json("get", "service", bench.name, "-n", bench.namespace)
    with (
        sampling.database_connections(bench) as backends,
        Load(service["spec"]["clusterIP"], traffic.requests(), rate=rate) as load,
    ):
        # What is lost before the change is the machine's doing, and would hide what it does.
        eventually(
            lambda: load.carried(_WARM_SECONDS),
            seconds=_PATIENCE_SECONDS,
            what=f"the machine carries {rate:g} requests/s",
        )
        before, began = len(load.answers), time.monotonic()
        scenario.change(bench)
        ended = time.monotonic()
        load.wait_for(before + requests)
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


def record(name: str, row: Sequence[str]) -> None:
    """Notes a row, in the place of an earlier one of the same name."""
    rows = _recorded()
    rows[name] = [*row, f"{os.getloadavg()[0]:.1f}"]
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(rows, indent=1))


def tables() -> str:
    """The record as tables, in the order of the scenarios."""
    changes = _table(outcome.HEADINGS, [scenario.name for scenario in SCENARIOS])
    crowds = _table(crowd.HEADINGS, list(crowd.CASES))
    return f"{os.cpu_count()} cores for all of it.\n\n{changes}\n\n{crowds}"


def _recorded() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return found


def _table(headings: Sequence[str], names: Sequence[str]) -> str:
    rows = _recorded()
    told = [rows[name] for name in names if name in rows]
    lines = [(*headings, "load"), ["---"] * (len(headings) + 1), *told]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> int:
    """Runs the scenarios; the exit code tells whether every promise held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="words of the cases' names")
    parser.add_argument("--requests", type=int, default=20_000, help="at least, in each scenario")
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    cases: dict[str, Callable[[Bench], Outcome | Crowd]] = {
        scenario.name: functools.partial(
            run, scenario=scenario, requests=options.requests, rate=options.rate
        )
        for scenario in SCENARIOS
    }
    cases |= {name: functools.partial(crowd.gather, name=name) for name in crowd.CASES}
    chosen = {
        name: case for name, case in cases.items() if any(word in name for word in options.only)
    }
    if not chosen:
        parser.error(f"no case has one of {options.only} in its name")
    broken = False
    with prepared() as bench:
        for name, case in chosen.items():
            progress.say(f"{name} ...")
            found = case(bench)
            print(found.told(), flush=True)
            record(name, found.row())
            broken = broken or bool(found.broken)
    if options.write:
        document.write("resilience", tables())
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
