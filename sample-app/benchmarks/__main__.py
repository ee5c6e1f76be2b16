"""`python -m benchmarks [--rounds N] [--write]`: starts servers, measures, prints a table."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import cast

import asgi_lifespan
import httpx2
from fastapi_operator_runtime import testing

from benchmarks import comparisons, document, measure
from shop import main, seed, settings, state

# Two kilobytes that do not compress.
TEXT = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 60))"


async def run(config: settings.Settings, rounds: int) -> list[measure.Result]:
    """Starts the application in this process and compares."""
    app = main.create_app(config)
    results = []
    async with asgi_lifespan.LifespanManager(app, startup_timeout=60) as manager:
        transport = httpx2.ASGITransport(app=manager.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
            found = cast(state.State, manager._state)
            for comparison in (
                *comparisons.http(client),
                *comparisons.caching(client, found),
                *comparisons.database(found["engine"]),
            ):
                results.append(await measure.compare(comparison, rounds))
                print(measure.table(results[-1:]).splitlines()[-1], file=sys.stderr)
    return results


def start() -> None:
    """Reads the arguments, starts the servers, measures, writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    arguments = parser.parse_args()
    with testing.PostgresServer() as postgres, testing.RedisServer() as redis:
        environment = {
            "DATABASE_URL": postgres.create_database("shop"),
            "REDIS_URL": redis.url,
            "REDIS_TIMEOUT_SECONDS": "10",
        }
        subprocess.run(
            [sys.executable, "-m", "alembic", "upgrade", "head"],
            cwd=Path(__file__).parent.parent,
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
        )
        config = settings.Settings.load({**environment, "LABS": "true", "LOG_LEVEL": "error"})
        asyncio.run(seed.seed(config, comparisons.ITEMS, 3))
        postgres.execute(f"UPDATE items SET description = {TEXT}", "shop")
        postgres.execute(f"CREATE TABLE {comparisons.UNINDEXED} AS TABLE reviews", "shop")
        postgres.execute("VACUUM ANALYZE", "shop")
        results = asyncio.run(run(config, arguments.rounds))
    head = (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, {arguments.rounds} interleaved rounds; medians.\n\n"
    )
    text = head + measure.table(results)
    if arguments.write:
        document.write("techniques", text)
    print(text)


if __name__ == "__main__":
    start()
