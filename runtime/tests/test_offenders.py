"""The README's two queries find the process that has more connections than planned."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from fastapi_operator_runtime import RuntimeSettings, database, testing

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
SIZES = {"DATABASE_POOL_SIZE": "2", "DATABASE_MAX_OVERFLOW": "1", "OTEL_SERVICE_NAME": "shop"}


def written(language: str) -> str:
    """Returns the code block of the README that counts connections."""
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (found,) = (block for block in blocks if "connections" in block)
    return found


def planned() -> int:
    config = RuntimeSettings.load(SIZES)
    sizes = config.database_pool_size + config.database_max_overflow
    return config.web_concurrency * sizes


@contextlib.asynccontextmanager
async def three_pods(url: str) -> AsyncIterator[None]:
    """One uses the contract; one has a pool size in its code; one has no runtime."""

    def configured(pod: str) -> RuntimeSettings:
        return RuntimeSettings.load({**SIZES, "DATABASE_URL": url, "HOSTNAME": pod})

    obedient = database.create_engine(configured("obedient"), observe=False)
    greedy = database.create_engine(configured("greedy"), observe=False, pool_size=8)
    async with contextlib.AsyncExitStack() as stack:
        for engine, connections in ((obedient, 3), (greedy, 9)):
            stack.push_async_callback(engine.dispose)
            for _ in range(connections):
                await stack.enter_async_context(engine.connect())
        for _ in range(4):
            stack.push_async_callback((await asyncpg.connect(url)).close)
        yield


def culprits(counted: dict[str, int]) -> dict[str, int]:
    return {
        name: connections
        for name, connections in counted.items()
        if connections > planned() or not name.startswith("shop/")
    }


async def test_postgresql_shows_each_process(postgres: testing.PostgresServer) -> None:
    async with three_pods(postgres.url()):
        rows = postgres.rows(written("sql"))
    counted = {row["application_name"]: int(row["connections"]) for row in rows}
    assert counted.pop("psql") == 1, "the connection of the query is counted too"
    assert counted["shop/obedient"] == planned()
    assert culprits(counted) == {"shop/greedy": 9, "": 4}
    assert {row["client_addr"] for row in rows} == {"127.0.0.1"}


async def test_pgbouncer_shows_each_process(
    pooler: testing.PgBouncerServer, postgres: testing.PostgresServer
) -> None:
    # In the operator's pod the console is a socket; here it is a port with a password.
    command = re.sub(r"-h \S+ -p \d+ -U \w+", f"-d {pooler.url('pgbouncer')}", written("sh"))
    command = command.replace("'SHOW CLIENTS' pgbouncer", "'SHOW CLIENTS'")
    path = os.pathsep.join([str(testing.postgres_directory()), os.environ["PATH"]])
    async with three_pods(pooler.url()):
        shell = await asyncio.create_subprocess_exec(
            "sh", "-c", command, env={"PATH": path}, stdout=subprocess.PIPE
        )
        output = (await shell.communicate())[0].decode()
    lines = [line.split(" ") for line in output.splitlines()]
    counted = {name: int(connections) for connections, name, _ in lines}
    assert counted.pop("psql") == 1
    assert counted["shop/obedient"] == planned()
    assert culprits(counted) == {"shop/greedy": 9, "": 4}
    assert lines[0][1] == "shop/greedy", "the most first"
