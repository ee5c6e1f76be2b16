"""python -m tests.benchmarks.operator.observing [--services N] [--seconds S] [--write]

The cost of measuring services: the operator on a real API server, beside pods that a server plays
on addresses of 127.0.0.0/8. The same operator with ``readMetrics: false`` is the baseline.
"""

import argparse
import asyncio
import datetime
import functools
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi_operator import naming
from fastapi_operator.observation.hours import Hour, Hours
from fastapi_operator.observation.reading import BOUNDS_SECONDS
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.measurements_record import MeasurementsRecord
from tests.api.metrics_page import serving
from tests.benchmarks import document
from tests.benchmarks.operator import work
from tests.benchmarks.operator.__main__ import MIB, Bench, bench
from tests.benchmarks.operator.audit import table

# A page of an app with so many routes, of two statuses each.
ROUTES = 20
_STARTED = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)).strftime(
    "%Y-%m-%dT%H:%M:%SZ"
)


@dataclass(frozen=True)
class Cost:
    """The cost of an operator for a time.

    Attributes:
        seconds: The time.
        cpu_seconds: Its CPU time.
        memory_bytes: Its resident memory at the end.
        requests: Its requests to the API server, by verb and resource.
        outcomes: The results of its looks at pods.
        largest_bytes: The largest stored measurements.
    """

    seconds: float
    cpu_seconds: float
    memory_bytes: int
    requests: dict[str, int]
    outcomes: dict[str, int]
    largest_bytes: int = 0


def page(began: float) -> str:
    """The metrics of a pod with two workers and twenty routes, 50 requests a second."""
    requests = int((time.time() - began) * 50) + 500_000
    each = requests // (2 * ROUTES)
    name = "http_server_request_duration_seconds"
    lines = []
    for route in range(ROUTES):
        for status in (200, 404):
            labels = (
                f'http_request_method="GET",http_route="/items/{{number}}/{route}",'
                f'http_response_status_code="{status}"'
            )
            for bound in (*BOUNDS_SECONDS, "+Inf"):
                within = each if bound == "+Inf" or float(bound) >= 0.05 else each // 2
                lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {within}')
            lines += [f"{name}_sum{{{labels}}} {each / 40}", f"{name}_count{{{labels}}} {each}"]
    pool = 'db_client_connection_pool_name="main"'
    lines += [
        "http_server_active_requests 3",
        "fastapi_worker_processes 2",
        f"fastapi_worker_cpu_seconds_total {requests / 300}",
        f"fastapi_worker_cpu_wait_seconds_total {requests / 9000}",
        f"fastapi_worker_resident_memory_bytes {176 * MIB}",
        "fastapi_worker_threads_used 1.5",
        f'db_client_connection_count{{{pool},db_client_connection_state="used"}} 2',
        f"db_client_connection_max{{{pool}}} 20",
        f"db_client_connection_use_time_seconds_sum{{{pool}}} {requests / 200}",
        f"db_client_connection_wait_time_seconds_sum{{{pool}}} {requests / 9000}",
        f"db_client_connection_wait_time_seconds_count{{{pool}}} {requests}",
    ]
    return "\n".join(lines) + "\n"


async def start_pods(found: Bench, names: list[str], port: int) -> None:
    """Creates a pod of each service, and plays the kubelet that reports it ready."""

    async def one(number: int, service: str, namespace: str) -> None:
        path, name = f"/api/v1/namespaces/{namespace}/pods", f"{service}-5d9c7b6f4-abcde"
        labels = {**naming.labels(service, Part.APP), "pod-template-hash": "5d9c7b6f4"}
        ports = [{"name": "metrics", "containerPort": port}]
        container = {"name": "app", "image": "registry.test/shop:1", "ports": ports}
        body = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [container]}}
        await found.users.request("POST", path, body)
        status = {
            "phase": "Running",
            "podIP": f"127.{1 + number // 250 % 250}.{number // 62_500}.{1 + number % 250}",
            "startTime": _STARTED,
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": _STARTED}],
            "containerStatuses": [
                {"name": "app", "restartCount": 0, "ready": True, "image": "", "imageID": ""}
            ],
        }
        await found.users.request(
            "PATCH",
            f"{path}/{name}/status",
            {"status": status},
            content_type="application/merge-patch+json",
        )

    for namespace in work.NAMESPACES:
        # The controller that creates it does not run, and no pod is admitted without it.
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        await found.users.request("POST", path, {"metadata": {"name": "default"}})
    spread = work.spread(names)
    places = [(name, space) for space, mine in spread.items() for name in mine]
    await asyncio.gather(*(one(number, *place) for number, place in enumerate(places)))


async def keep_week(found: Bench) -> None:
    """Creates the measurements of a past week, so that each write compares the numbers again."""
    now = time.time()
    hour = Hour(
        seconds=3300,
        requests=165_000,
        cpu_seconds=550,
        worker_seconds=6600,
        peak_rate=100,
        peak_cores=0.1,
        peak_in_flight=4,
        resident_kibibytes=88 * 1024,
        age_seconds=86_400,
        served=250_000,
        durations=(80_000, 85_000, *[0] * (len(BOUNDS_SECONDS) - 2)),
    )
    week = Hours({int(now // 3600) - age: hour for age in range(1, 168)}) + Hours()

    async def one(body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        owner = Owner(metadata["namespace"], metadata["name"], metadata["uid"])
        record = MeasurementsRecord.new(week, owner, now).to_body(owner)
        path = f"/api/v1/namespaces/{owner.namespace}/configmaps"
        await found.users.request("POST", path, record)

    listed = await found.users.request("GET", f"/apis/{naming.API_VERSION}/{naming.PLURAL}")
    await asyncio.gather(*map(one, listed["items"]))


async def measure(services: int, seconds: float, folder: Path) -> tuple[Cost, Cost]:
    """Returns the cost without and with measurements, for the same services."""
    off = folder / "off.yaml"
    off.write_text("readMetrics: false\n")
    with serving(functools.partial(page, time.time())) as port:
        async with bench(folder) as found:
            operator = found.start()
            await operator.until_ready(seconds=600)
            names = [f"mini-{number:04}" for number in range(services)]
            await work.fresh(found.log, found.users, operator, names, work.MINIMAL)
            await start_pods(found, names, port)
            await keep_week(found)
            operator.stop()
            without = await cost(found, seconds, ("--settings", str(off)), services)
            measuring = await cost(found, seconds, (), services)
    return without, measuring


async def cost(found: Bench, seconds: float, options: tuple[str, ...], services: int) -> Cost:
    """Starts an operator, and measures it after it has reconciled all services."""
    operator = found.start(*options)
    await operator.until_ready(seconds=600)
    await operator.until_passes(services, seconds=600)
    await asyncio.sleep(20)
    before, since = operator.cpu_seconds(), found.log.mark()
    began = time.monotonic()
    await asyncio.sleep(seconds)
    passed = time.monotonic() - began
    spent = operator.cpu_seconds() - before
    outcomes = {
        name.partition('"')[2].rstrip('"}'): int(value)
        for name, value in operator.metrics().items()
        if name.startswith("fastapi_operator_observations_total")
    }
    result = Cost(
        seconds=passed,
        cpu_seconds=spent,
        memory_bytes=operator.memory_bytes("VmRSS"),
        requests=dict(table(found.log.requests(since))),
        outcomes=outcomes,
        largest_bytes=await largest(found),
    )
    operator.stop()
    return result


async def largest(found: Bench) -> int:
    """Returns the size of the largest stored measurements."""
    sizes = [0]
    for namespace in work.NAMESPACES:
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        for item in (await found.users.request("GET", path))["items"]:
            if item["metadata"]["name"].endswith("-measurements"):
                sizes.append(sum(map(len, item["data"].values())))
    return max(sizes)


def rows(services: int, without: Cost, measuring: Cost) -> str:
    """Returns the table."""
    share = 100 * measuring.cpu_seconds / measuring.seconds
    base = 100 * without.cpu_seconds / without.seconds
    memory = (measuring.memory_bytes - without.memory_bytes) / MIB
    hours = services * measuring.seconds / 3600
    # The first page of a pod has nothing to be compared with.
    read = sum(measuring.outcomes.get(name, 0) for name in ("First", "Read"))
    others = sum(measuring.outcomes.values()) - read
    written = sum(
        count
        for name, count in measuring.requests.items()
        if name in {"patch configmaps", "create configmaps"}
    )
    found: list[tuple[str, str, str]] = [
        (
            f"measuring {services} services for {measuring.seconds:.0f} s",
            "≤ 5 % of a core more",
            f"{share - base:.2f} % more: {share:.2f} % instead of {base:.2f} %",
        ),
        ("… resident memory", "≤ 64 MiB more", f"{memory:.1f} MiB more"),
        (
            "… pages read",
            "1 per service in 5 minutes",
            f"{read / hours / 12:.2f} per service in 5 minutes, {read} in all; {others} looks "
            "without a page",
        ),
        (
            "… writes",
            "≤ 1 per service and hour",
            f"{written / hours:.2f} per service and hour, {written} in all",
        ),
        ("… lists of pods", "", f"{measuring.requests.get('list pods', 0)}"),
        ("… largest measurements", "≤ 16 KiB", f"{measuring.largest_bytes} bytes"),
    ]
    lines = ["| work | target | measured |", "| --- | --- | --- |"]
    lines += [f"| {name} | {bar} | {value} |" for name, bar, value in found]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures, prints the table, and with --write puts it into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.operator.observing")
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=900.0, help="of each operator")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    given = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        costs = asyncio.run(measure(given.services, given.seconds, Path(folder)))
    text = (
        f"Python {platform.python_version()}, CPU time of the operator alone, pages of {ROUTES} "
        f"routes ({len(page(time.time())) // 1024} KiB); load {before:.1f} before and "
        f"{os.getloadavg()[0]:.1f} after.\n\n{rows(given.services, *costs)}"
    )
    print(text)
    if given.write:
        document.write("observing", text)


if __name__ == "__main__":
    main()
