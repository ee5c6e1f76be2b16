"""`python -m benchmarks.faults`: the responses that clients get while a part fails under load.

Twenty clients with their own connections read items and lists from two workers, for some seconds
before, during and after the fault. Each fault starts with new servers; `--together` shares them,
to check in less time that all faults run.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import http.client
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from fastapi_operator_runtime import testing

from benchmarks import document

CLIENTS = 20
PHASE_SECONDS = 3.0
DURING = "during"
PHASES = ("before", DURING, "after")
PAUSE_SECONDS = 0.02
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Shop:
    """The servers of one run."""

    postgres: testing.PostgresServer
    redis: testing.RedisServer
    redis_link: testing.SlowLink
    app: testing.AppServer


@dataclass(frozen=True)
class Answer:
    """The result of one request: a status, or the kind of broken connection, and the time."""

    phase: str
    outcome: str
    seconds: float


@contextlib.contextmanager
def redis_killed(shop: Shop) -> Iterator[None]:
    """SIGKILL, and a start at the end of the fault."""
    shop.redis.kill()
    yield
    shop.redis.start()


@contextlib.contextmanager
def redis_frozen(shop: Shop) -> Iterator[None]:
    """SIGSTOP during the fault: connections stay open, and the server does not respond."""
    with shop.redis.paused():
        yield


@contextlib.contextmanager
def redis_slow(shop: Shop) -> Iterator[None]:
    """Every response of Redis arrives two seconds late."""
    shop.redis_link.delay_seconds = 2.0
    yield
    shop.redis_link.delay_seconds = 0.0


@contextlib.contextmanager
def postgres_restarted(shop: Shop) -> Iterator[None]:
    """Stopped during the fault."""
    shop.postgres.kill()
    yield
    shop.postgres.start()


@contextlib.contextmanager
def worker_killed(shop: Shop) -> Iterator[None]:
    """SIGKILL to one of the two workers; uvicorn starts another."""
    os.kill(shop.app.worker_pids()[0], signal.SIGKILL)
    yield


Fault = Callable[[Shop], AbstractContextManager[None]]
FAULTS: dict[str, Fault] = {
    "Redis killed, then back": redis_killed,
    "Redis frozen, then thawed": redis_frozen,
    "Redis 2 s slow, then fast": redis_slow,
    "PostgreSQL gone, then back": postgres_restarted,
    "a worker killed": worker_killed,
}


class Load:
    """Clients that repeat requests until they are stopped."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.phase = "before"
        self.answers: list[Answer] = []
        self._stop = threading.Event()

    def client(self, number: int) -> None:
        """One client; it opens a new connection after a broken one."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        count = number
        while not self._stop.is_set():
            count += 1
            path = "/items?limit=20" if count % 4 == 0 else f"/items/{1 + count % 50}"
            began_in, started_at = self.phase, time.perf_counter()
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                outcome = str(response.status)
            except (OSError, http.client.HTTPException):
                connection.close()
                outcome = "broken"
            # If the fault interrupts a request, it counts for the fault, not for the phase before.
            phase = DURING if DURING in (began_in, self.phase) else began_in
            self.answers.append(Answer(phase, outcome, time.perf_counter() - started_at))
            time.sleep(PAUSE_SECONDS)
        connection.close()

    def stop(self) -> None:
        """Stops the clients."""
        self._stop.set()


@contextlib.contextmanager
def running_shop() -> Iterator[Shop]:
    """PostgreSQL, Redis and two workers, with a seeded shop."""
    with (
        testing.PostgresServer() as postgres,
        testing.RedisServer() as redis,
        testing.SlowLink(redis.port) as link,
    ):
        environment = {
            "DATABASE_URL": postgres.create_database("shop"),
            "DATABASE_POOL_TIMEOUT_SECONDS": "2",
            "REDIS_URL": redis.url.replace(str(redis.port), str(link.port)),
            "LOG_LEVEL": "critical",
        }
        inherited = {**os.environ, **environment}
        for command in (["alembic", "upgrade", "head"], ["shop.seed", "--items", "2000"]):
            subprocess.run(
                [sys.executable, "-m", *command], cwd=ROOT, env=inherited, check=True,
                capture_output=True,
            )  # fmt: skip
        with testing.AppServer("shop.main:app", workers=2, environment=environment) as app:
            yield Shop(postgres, redis, link, app)


def run(shop: Shop, fault: Fault, phase_seconds: float) -> list[Answer]:
    """One fault under load, with equal times before, during and after it."""
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        load = Load(shop.app.port)
        clients = [pool.submit(load.client, number) for number in range(CLIENTS)]
        time.sleep(phase_seconds)
        load.phase = DURING
        with fault(shop):
            time.sleep(phase_seconds)
        load.phase = "after"
        time.sleep(phase_seconds)
        load.stop()
        for client in clients:
            client.result()
        return load.answers


def row(name: str, answers: list[Answer]) -> str:
    """Returns one line of the table."""
    cells = [name]
    for phase in PHASES:
        found = [answer for answer in answers if answer.phase == phase]
        outcomes = collections.Counter(answer.outcome for answer in found)
        seconds = [answer.seconds for answer in found]
        counts = ", ".join(f"{outcome}: {n}" for outcome, n in sorted(outcomes.items()))
        p99 = statistics.quantiles(seconds, n=100)[-1] * 1000
        cells.append(f"{counts}; p50 {statistics.median(seconds) * 1000:.0f}, p99 {p99:.0f} ms")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Runs every fault and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    parser.add_argument("--seconds", type=float, default=PHASE_SECONDS, help="of each phase")
    parser.add_argument("--together", action="store_true", help="all faults on the same servers")
    arguments = parser.parse_args()
    lines = ["| fault | before | during | after |", "| --- | --- | --- | --- |"]
    with running_shop() if arguments.together else contextlib.nullcontext() as shared:
        for name, fault in FAULTS.items():
            with contextlib.nullcontext(shared) if shared else running_shop() as shop:
                lines.append(row(name, run(shop, fault, arguments.seconds)))
            print(lines[-1], file=sys.stderr)
    load = os.getloadavg()[0]
    head = (
        f"{CLIENTS} clients, two workers, {arguments.seconds:g} s before, during and after, "
        f"{os.cpu_count()} cores, load {load:.1f}.\n\n"
    )
    text = head + "\n".join(lines) + "\n"
    if arguments.write:
        document.write("faults", text)
    print(text)


if __name__ == "__main__":
    main()
