"""Numbers of the running database and poolers, once a second, over one connection each."""

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
_APP_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"


@contextlib.contextmanager
def database_connections(shop: Shop) -> Iterator[list[int]]:
    """How many connections the app's role has open, as ``pg_stat_activity`` shows them."""
    with _watched(shop, f"statefulset/{shop.name}-postgres", _DATABASE, _APP_CONNECTIONS) as lines:
        numbers: list[int] = []
        yield numbers
        numbers += [int(line) for line in lines if line.isdigit()]


@contextlib.contextmanager
def pools(shop: Shop, pod: str) -> Iterator[list[dict[str, str]]]:
    """The app's row of a pooler's ``SHOW POOLS``."""
    with _watched(shop, pod, _POOLER, "SHOW POOLS") as lines:
        rows: list[dict[str, str]] = []
        yield rows
        header: list[str] = []
        for cells in csv.reader(lines):
            if cells[:2] == ["database", "user"]:
                header = cells
            elif cells[:2] == ["app", "app"]:
                rows.append(dict(zip(header, cells, strict=True)))


@contextlib.contextmanager
def _watched(shop: Shop, target: str, command: tuple[str, ...], query: str) -> Iterator[list[str]]:
    """What a query printed each second; it ends with its pod, without a word."""
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
    process.stdin.write(f"{query} \\watch 1\n")
    process.stdin.flush()
    output, lines = process.stdout, list[str]()
    reader = threading.Thread(target=lambda: lines.extend(line.strip() for line in output))
    reader.start()
    try:
        yield lines
    finally:
        process.terminate()
        process.wait()
        reader.join()
