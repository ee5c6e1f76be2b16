"""Numbers of the running database and poolers, once a second, over one connection each."""

import collections
import contextlib
import csv
import subprocess
import threading
from collections.abc import Iterator

from tests.e2e.conftest import Shop

_DATABASE = (
    *("postgres", "psql", "-X", "-A", "-t", "-h", "/run/postgresql", "-U", "postgres", "-d", "app"),
)
_POOLER = (
    *("pgbouncer", "psql", "-X", "--csv", "-h", "/run/pgbouncer", "-p", "5432"),
    *("-U", "pgbouncer", "-d", "pgbouncer"),
)
_APP_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'app%'"


@contextlib.contextmanager
def database_connections(shop: Shop) -> Iterator[list[int]]:
    """How many connections the app's users have open, as ``pg_stat_activity`` shows them."""
    with _watched(shop, f"statefulset/{shop.name}-postgres", _DATABASE, _APP_CONNECTIONS) as lines:
        numbers: list[int] = []
        yield numbers
        numbers += [int(line) for line in lines if line.isdigit()]


@contextlib.contextmanager
def pools(shop: Shop, pod: str) -> Iterator[list[collections.Counter[str]]]:
    """A pooler's ``SHOW POOLS``: connections by state, over both users of the app."""
    with _watched(shop, pod, _POOLER, "SHOW POOLS") as lines:
        samples: list[collections.Counter[str]] = []
        yield samples
        header: list[str] = []
        for cells in csv.reader(lines):
            if cells[:2] == ["database", "user"]:
                header = cells
                samples.append(collections.Counter())
            elif cells[:1] == ["app"]:
                counts = zip(header, cells, strict=True)
                samples[-1].update({name: int(n) for name, n in counts if n.isdigit()})


@contextlib.contextmanager
def _watched(shop: Shop, target: str, command: tuple[str, ...], query: str) -> Iterator[list[str]]:
    """Yields the output of a query each second; it ends without an error if its pod ends."""
    container, *program = command
    process = subprocess.Popen(
        shop.kubectl.command(
            *("exec", "-i", "-n", shop.namespace, target, "-c", container, "--", *program)
        ),
        env=shop.kubectl.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin and process.stdout
    asked, answers = process.stdin, process.stdout
    lines: list[str] = []
    over = threading.Event()

    def ask() -> None:
        # Not psql's own \watch, which outlives its client and keeps the connection.
        with contextlib.suppress(OSError), asked:
            while not over.wait(1):
                asked.write(f"{query};\n")
                asked.flush()

    asking = threading.Thread(target=ask)
    reading = threading.Thread(target=lambda: lines.extend(line.strip() for line in answers))
    asking.start()
    reading.start()
    try:
        yield lines
    finally:
        over.set()
        asking.join()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        reading.join()
