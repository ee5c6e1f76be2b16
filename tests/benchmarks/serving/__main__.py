"""Compares the tuned pod with the article's line, the defaults and a grid.

    python -m tests.benchmarks.serving [--short] [--write]

A screening runs every variant once; then the grid's winner and the article's line run against the
tuned pod in fresh interleaved rounds, with a second tuned pod beside them to show the noise. The
full form takes less than an hour and wants a quiet machine; the short one shows that it works.
"""

import argparse
import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator.settings import OperandImage, OperandImages, Settings
from tests.benchmarks import document
from tests.benchmarks.serving import load, pods, ratios, tables, variants
from tests.benchmarks.serving.cells import Cell, Run
from tests.benchmarks.serving.variants import NAMESPACE, SERVICE, WORKLOADS, Variant, Workload
from tests.cluster import node, packages, progress
from tests.demo import story, targets
from tests.kubectl import Kubectl, condition, eventually

NODE = "serving"
_READY_SECONDS = 240


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        limits: CPU limits of the pods.
        workloads: The workloads.
        seconds: Length of one run.
        rounds: Interleaved rounds.
        grid: Whether the whole grid is screened, or its ends.
        cores: Nodes that the article's line is thought to run on; the last is compared closely.
    """

    limits: tuple[str, ...] = ("500m", "1")
    workloads: tuple[Workload, ...] = WORKLOADS
    seconds: float = 3
    rounds: int = 12
    grid: bool = True
    cores: tuple[int, ...] = (2, 16)


SHORT = Plan(limits=("1",), workloads=WORKLOADS[2:3], seconds=1, rounds=2, grid=False, cores=(2,))


class Bench:
    """A node with the operator, and the service whose database the pods use."""

    def __init__(self, kubectl: Kubectl, image: str, settings: Settings) -> None:
        self._kubectl = kubectl
        self._image = image
        self._settings = settings

    def container(self, workload: Workload, limit: str) -> dict[str, Any]:
        """Returns the operator's plan for the workload's service."""
        body = variants.service(self._image, limit, workload.traffic)
        return variants.tuned_container(body, self._settings)

    @contextlib.contextmanager
    def pod(
        self, name: str, variant: Variant, container: Mapping[str, Any], limit: str
    ) -> Iterator[pods.Running]:
        """A variant's pod, with all of its workers up."""
        with pods.running(self._kubectl, variants.pod(name, variant, container, limit)) as running:
            pods.settle(running)
            yield running


def measure(pod: pods.Running, workload: str, seconds: float) -> Run:
    """One run of one workload."""
    before = pod.figures()
    seen = load.run(f"{pod.url}/{workload}", seconds=seconds)
    after = pod.figures()
    periods = max(1, after.periods - before.periods)
    return Run(
        seen=seen,
        throttled_percent=100 * (after.throttled - before.throttled) / periods,
        memory_bytes=after.memory_bytes,
        ready_seconds=pod.ready_seconds,
    )


def screen(bench: Bench, plan: Plan, limit: str) -> list[Cell]:
    """Measures each variant once; parts that no workload changes are started once."""
    cells = [Cell(workload.name, limit) for workload in plan.workloads]
    containers = {workload.name: bench.container(workload, limit) for workload in plan.workloads}
    any_container = containers[plan.workloads[0].name]
    for variant in (*map(variants.article, plan.cores), variants.defaults()):
        with bench.pod("same-for-all", variant, any_container, limit) as pod:
            for cell in cells:
                cell.screened[variant.name] = measure(pod, cell.workload, plan.seconds)
                _say(cell, variant.name)
    for workload, cell in zip(plan.workloads, cells, strict=True):
        container = containers[workload.name]
        points = tuple(variants.grid(workload, container))
        for variant in (variants.tuned(container), *(points if plan.grid else points[::8])):
            with bench.pod("candidate", variant, container, limit) as pod:
                cell.screened[variant.name] = measure(pod, workload.name, plan.seconds)
                _say(cell, variant.name)
        cell.winner = max(
            (point.name for point in points if point.name in cell.screened),
            key=lambda name, cell=cell: cell.screened[name].seen.requests_per_second,
        )
    return cells


def compare(bench: Bench, plan: Plan, cells: list[Cell]) -> None:
    """Measures the cells of one limit in fresh, interleaved rounds with a changing order."""
    limit = cells[0].limit
    article = variants.article(plan.cores[-1])
    first = bench.container(plan.workloads[0], limit)
    with bench.pod("article", article, first, limit) as article_pod:
        for workload, cell in zip(plan.workloads, cells, strict=True):
            container = bench.container(workload, limit)
            (winner,) = [v for v in variants.grid(workload, container) if v.name == cell.winner]
            tuned = variants.tuned(container)
            with (
                bench.pod("tuned", tuned, container, limit) as tuned_pod,
                bench.pod("again", tuned, container, limit) as again_pod,
                bench.pod("winner", winner, container, limit) as winner_pod,
            ):
                order = {
                    "tuned": tuned_pod,
                    "winner": winner_pod,
                    "again": again_pod,
                    article.name: article_pod,
                }
                for number in range(plan.rounds):
                    names = list(order)
                    turned = number % len(names)
                    for name in names[turned:] + names[:turned]:
                        seen = load.run(f"{order[name].url}/{workload.name}", seconds=plan.seconds)
                        cell.rounds.setdefault(name, []).append(seen)
            found = ratios.ratio(
                [s.requests_per_second for s in cell.rounds["tuned"]],
                [s.requests_per_second for s in cell.rounds["winner"]],
            )
            progress.say(f"{limit} {workload.name}: tuned and {cell.winner}: {found}")


@contextlib.contextmanager
def prepared() -> Iterator[Bench]:
    """Runs the node with the operator, and a service whose database and pooler are ready."""
    target = targets.LocalNode(NODE)
    try:
        cluster = target.prepare()
        started = node.Node(NODE)
        started.build_images(["serving"])
        story.install_operator(cluster)
        image = started.image("serving")
        cluster.kubectl.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            variants.service(image, "1", {}),
        )
        eventually(
            lambda: (
                condition(
                    cluster.kubectl.json("get", "fas", SERVICE, "-n", NAMESPACE), "Ready"
                ).get("status")
                == "True"
            ),
            seconds=_READY_SECONDS,
            what=f"{SERVICE} Ready",
            pause=1,
        )
        # The app is no longer needed; the database and the pooler stay.
        patch = '{"spec": {"suspend": true}}'
        kubectl = cluster.kubectl
        kubectl("patch", "fas", SERVICE, "-n", NAMESPACE, "--type", "merge", "-p", patch)
        kubectl("scale", "deployment", SERVICE, "-n", NAMESPACE, "--replicas", "0")
        yield Bench(cluster.kubectl, image, _settings(started))
    finally:
        target.remove()


def _settings(started: node.Node) -> Settings:
    """The operator's settings with the names of images that this node has."""
    images = {
        name: _operand(started.image(name)) for name in ("postgres", "pgbouncer", "redis", "nginx")
    }
    return Settings(images=OperandImages(**images))


def _operand(reference: str) -> OperandImage:
    path, _, tag = reference.rpartition(":")
    registry, _, repository = path.partition("/")
    return OperandImage(registry=registry, repository=repository, tag=tag)


def _say(cell: Cell, name: str) -> None:
    run = cell.screened[name]
    progress.say(
        f"{cell.limit:>5} {cell.workload:9} {name:34} {run.seen.requests_per_second:7.0f}/s  "
        f"p99 {run.seen.p99_milliseconds:7.1f} ms  errors {run.seen.errors:4}  "
        f"throttled {run.throttled_percent:3.0f} %  "
        f"{run.memory_bytes / 2**20:5.0f} MiB  ready {run.ready_seconds:5.1f} s"
    )


def measured(plan: Plan) -> str:
    """Measures and prints tables."""
    packages.ensure({load.PROGRAM: "wrk"})
    facts, began = document.machine(), time.monotonic()
    cells: list[Cell] = []
    with prepared() as bench:
        for limit in plan.limits:
            screened = screen(bench, plan, limit)
            compare(bench, plan, screened)
            cells += screened
    minutes = (time.monotonic() - began) / 60
    article = variants.article(plan.cores[-1]).name
    return tables.text(cells, article=article, facts=facts, minutes=minutes)


def main() -> None:
    """Measures, prints the tables, and with --write puts them into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="measure one workload, as a test")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    text = measured(SHORT if options.short else Plan())
    print(f"\n{text}\n\nload at the end {os.getloadavg()[0]:.1f}")
    if options.write:
        document.write("serving", text)


if __name__ == "__main__":
    main()
