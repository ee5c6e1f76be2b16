"""python -m tests.benchmarks.operator [--services N] [--full N] [--short] [--write]

A real kube-apiserver and etcd, the operator as a process, and a driver that acts as users and
controllers. Requests and latencies come from the API server's audit log.
"""

import argparse
import asyncio
import dataclasses
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.api.kube import Kube
from tests.api.world import install_crd
from tests.benchmarks import document
from tests.benchmarks.operator import account, audit, work
from tests.benchmarks.operator.controllers import Controllers
from tests.benchmarks.operator.process import Operator
from tests.cluster.apiserver import ApiServer

MIB = 2**20

# The operation, the target, the result.
Row = tuple[str, str, str]


@dataclass(frozen=True)
class Plan:
    """The amount of work to measure.

    Attributes:
        full: Services with every part.
        few: Services with only an image, as the baseline for the cost of many.
        minimal: Many of these services.
        rounds: Runs of the fresh services with every part, each on a new API server.
        rest_seconds: Length of the idle period.
        changes: Images that are changed, one after another.
        edits: Objects that are edited manually.
        pause: Seconds between two changes or edits.
    """

    full: int = 100
    few: int = 100
    minimal: int = 1000
    rounds: int = 3
    rest_seconds: float = 600.0
    changes: int = 100
    edits: int = 200
    pause: float = 0.2


SHORT = Plan(full=3, few=3, minimal=10, rounds=1, rest_seconds=5.0, changes=5, edits=8, pause=0.1)


@dataclass(frozen=True)
class Bench:
    """One API server with its driver, and a function that starts an operator on it."""

    log: audit.AuditLog
    users: Controllers
    start: Callable[..., Operator]


@asynccontextmanager
async def bench(folder: Path, *, profile: Path | None = None) -> AsyncIterator[Bench]:
    """Runs a new API server; operators that still run are stopped at the end."""
    started: list[Operator] = []
    with ApiServer(f"bench-{os.getpid()}") as server:
        kube = Kube(server.kubeconfig)
        install_crd(kube)
        for namespace in work.NAMESPACES:
            kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        own = account.kubeconfig(kube, server.kubeconfig, folder / "kubeconfig")

        def start(*options: str) -> Operator:
            operator = Operator(own, folder / "operator.log", *options, profile=profile)
            started.append(operator)
            return operator

        try:
            async with Controllers(server.kubeconfig).working() as users:
                yield Bench(audit.AuditLog(server.audit_log), users, start)
        finally:
            for operator in started:
                operator.stop()


async def measure(plan: Plan, folder: Path, profile: Path | None) -> str:
    """All rows, as Markdown."""
    full = [await fresh(plan.full, "full", work.FULL, folder, profile) for _ in range(plan.rounds)]
    few = [await fresh(plan.few, "mini", work.MINIMAL, folder, profile) for _ in range(plan.rounds)]
    rows = fresh_rows(f"{plan.full} services with every part, fresh", "≥ 300 objects/s", full)
    rows += fresh_rows(f"{plan.few} minimal services, fresh", "", few)
    async with bench(folder, profile=profile) as found:
        rows += await many(plan, found, few)
    lines = ["| work | target | measured |", "| --- | --- | --- |"]
    lines += [f"| {name} | {bar} | {value} |" for name, bar, value in rows]
    return "\n".join(lines) + "\n"


async def fresh(
    count: int, prefix: str, spec: object, folder: Path, profile: Path | None
) -> work.Fresh:
    """Creates new services on a new API server."""
    async with bench(folder, profile=profile) as found:
        operator = found.start()
        await operator.until_ready()
        names = [f"{prefix}-{number:04}" for number in range(count)]
        done = await work.fresh(found.log, found.users, operator, names, spec)
        say(done)
        return done


async def many(plan: Plan, found: Bench, few: list[work.Fresh]) -> list[Row]:
    """The rows of many minimal services, which exist for all measurements."""
    operator, since = found.start(), found.log.mark()
    await operator.until_ready()
    names = [f"mini-{number:04}" for number in range(plan.minimal)]
    done = await work.fresh(found.log, found.users, operator, names, work.MINIMAL)
    say(done)
    small = statistics.median(run.operator_cpu_seconds / run.services for run in few)
    cost = done.operator_cpu_seconds / done.services / small
    rows = fresh_rows(f"{plan.minimal} minimal services, fresh", "≥ 250 objects/s", [done])
    rows.append(
        (f"… CPU per service, relative to {plan.few} services", "≤ 1.2 times", f"{cost:.2f} times")
    )
    made = audit.of_services(found.log.requests(since))

    quiet = await work.at_rest(found.log, plan.rest_seconds)
    say(quiet)
    rows.append(
        (
            f"these services at rest for {quiet.seconds:.0f} s",
            "0 writes, ≤ 0.1 requests per service, ≤ 15 others per minute",
            f"{quiet.writes} writes, {quiet.requests / plan.minimal:.3f} requests per service; "
            f"{quiet.apart_a_minute:.0f} per minute for Lease, discovery and watches",
        )
    )
    changed = await work.image_changes(found.log, found.users, names[: plan.changes], plan.pause)
    say(changed)
    rows.append(
        (
            f"one image change among {plan.minimal}, {plan.changes} times",
            "first write ≤ 300 ms p99; ≤ 3 requests",
            f"{reactions(changed)}; {changed.requests:.1f} requests until it is Ready again",
        )
    )
    repaired = await work.edits(found.log, found.users, made, plan.edits, plan.pause)
    say(repaired)
    rows.append(
        (
            f"{len(repaired.seconds)} manual edits",
            "repaired in ≤ 2 s p99",
            f"{reactions(repaired)}; {repaired.requests:.1f} writes per edit, including the status",
        )
    )
    operator.stop()
    operator, again = await work.restart(found.log, found.start, plan.minimal)
    say(again)
    rows.append(
        (
            f"operator restart with {plan.minimal} services",
            "0 writes, ready in ≤ 20 s, ≤ 1 request per service",
            f"{again.writes} writes, ready in {again.synced_seconds:.1f} s, all services "
            f"reconciled in {again.settled_seconds:.1f} s, {again.requests} requests for services "
            f"and {again.lists} lists",
        )
    )
    return rows


def fresh_rows(name: str, bar: str, runs: list[work.Fresh]) -> list[Row]:
    """The rows of new services: medians, and the minimum and maximum of several runs."""
    objects = runs[0].objects / runs[0].services
    rates = [run.objects_a_second for run in runs]
    memory = max(run.memory_bytes for run in runs) / MIB
    cpu = statistics.median(run.operator_cpu_seconds / run.objects for run in runs)
    spread = f" ({min(rates):.0f} to {max(rates):.0f})" if len(rates) > 1 else ""
    extra = statistics.median(run.extra_requests for run in runs)
    return [
        (name, bar, f"{statistics.median(rates):.0f} objects/s{spread}, {objects:.0f} each"),
        ("… requests per service", "objects + 2", f"objects + {extra:.2f}"),
        ("… CPU of the operator per object", "", f"{cpu * 1000:.2f} ms"),
        ("… peak of resident memory", "≤ 160 MiB", f"{memory:.0f} MiB"),
    ]


def reactions(found: work.Reactions) -> str:
    """Median and 99th percentile."""
    ordered = sorted(found.seconds)
    high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered) * 1000:.0f} ms, p99 {high * 1000:.0f} ms"


def say(found: object) -> None:
    """Prints a result as soon as it is measured."""
    print(f"{found} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)


def main() -> None:
    """Reads the arguments, measures, prints, and writes the page if requested."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.operator")
    parser.add_argument("--services", type=int, help="minimal services; default 1000")
    parser.add_argument("--full", type=int, help="services with every part; default 100")
    parser.add_argument("--rounds", type=int, help="runs of fresh services; default 3")
    parser.add_argument("--rest", type=float, help="seconds at rest; default 600")
    parser.add_argument("--short", action="store_true", help="run a few of each, as CI does")
    parser.add_argument("--profile", type=Path, help="file for cProfile's data of the operator")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    given = parser.parse_args()
    options = {
        "minimal": given.services,
        "full": given.full,
        "rounds": given.rounds,
        "rest_seconds": given.rest,
    }
    chosen = {name: value for name, value in options.items() if value is not None}
    plan = dataclasses.replace(SHORT if given.short else Plan(), **chosen)
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure(plan, Path(folder), given.profile))
    text = (
        f"Python {platform.python_version()}, {os.cpu_count()} cores shared with the API server, "
        f"etcd and the driver; load {before:.1f} before and {os.getloadavg()[0]:.1f} after; fresh "
        f"services: the median of {plan.rounds} runs, each on a new API server.\n\n{rows}"
    )
    if given.write:
        document.write("operator", text)
    print(text)


if __name__ == "__main__":
    main()
