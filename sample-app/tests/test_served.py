"""The shop in uvicorn with two workers, as the operator runs it."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi_operator_runtime import testing

COUNT = "http_server_request_duration_seconds_count"
ADA = {"name": "Ada", "email": "ada@example.com", "password": "correct horse"}
LAMP = {"name": "Lamp", "description": "It glows.", "price_cents": 1990}


def two_workers(database: str, redis: str) -> testing.AppServer:
    sizes = {
        "DATABASE_URL": database,
        "REDIS_URL": redis,
        "REDIS_TIMEOUT_SECONDS": "10",
        "OTEL_SERVICE_NAME": "shop",
        "HOSTNAME": "shop-7d9f-x2x4z",
        "DATABASE_POOL_SIZE": "2",
        "DATABASE_MAX_OVERFLOW": "1",
        "MAX_IN_FLIGHT": "50",
    }
    return testing.AppServer("shop.main:app", workers=2, environment=sizes)


@pytest.fixture(scope="module")
def served(
    postgres: testing.PostgresServer,
    pooler: testing.PgBouncerServer,
    redis_server: testing.RedisServer,
) -> Iterator[testing.AppServer]:
    postgres.create_database("served", template="migrated")
    with two_workers(pooler.url("served"), redis_server.url.removesuffix("/0") + "/15") as server:
        yield server
    postgres.drop_database("served")


def test_the_requests_of_the_readme(served: testing.AppServer) -> None:
    with httpx2.Client(base_url=served.url) as client:
        client.post("/users", json=ADA)
        signing_in = {"email": ADA["email"], "password": ADA["password"]}
        token = client.post("/tokens", json=signing_in).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        item = client.post("/items", json=LAMP).json()
        client.post(f"/items/{item['id']}/reviews", json={"rating": 5, "body": "bright"})
        reads = [client.get(f"/items/{item['id']}") for _ in range(2)]
    assert [response.headers["x-cache"] for response in reads] == ["miss", "hit"]
    assert reads[1].json()["reviews"][0]["body"] == "bright"


def test_metrics_and_pools_are_correct_under_load(
    served: testing.AppServer, postgres: testing.PostgresServer
) -> None:
    httpx2.post(f"{served.url}/items", json=LAMP)

    def work(_number: int) -> list[int]:
        with httpx2.Client(base_url=served.url, timeout=30) as client:
            return [client.get("/items").status_code for _ in range(25)]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = [status for part in pool.map(work, range(16)) for status in part]
    assert statuses == [200] * 400

    def counted() -> float:
        return served.sample(COUNT, http_route="/items", http_request_method="GET")

    deadline = time.monotonic() + 10
    while counted() < 400:  # The last requests are counted after their responses are sent.
        assert time.monotonic() < deadline
    assert [counted() for _ in range(3)] == [400] * 3
    connections = postgres.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shop/shop-7d9f-x2x4z'"
    )
    assert 1 <= int(connections) <= 2 * (2 + 1)


def test_no_request_fails_at_sigterm(environment: dict[str, str]) -> None:
    with two_workers(environment["DATABASE_URL"], environment["REDIS_URL"]) as served:
        sign_up_and_terminate(served)


def sign_up_and_terminate(served: testing.AppServer) -> None:
    def hash_password(number: int) -> int:
        user: dict[str, Any] = {**ADA, "email": f"ada{number}@example.com"}
        return httpx2.post(f"{served.url}/users", json=user, timeout=30).status_code

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        running = [pool.submit(hash_password, number) for number in range(12)]
        deadline = time.monotonic() + 10
        while served.sample("http_server_active_requests") < 12:
            assert time.monotonic() < deadline
            if all(future.done() for future in running):
                break
        served.terminate()
        assert [future.result() for future in running] == [201] * 12
    served.wait()


def test_the_seed_command_fills_the_shop(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "shop.seed", "--items", "1500", "--reviews", "2"]
    subprocess.run(command, env={**os.environ, **environment}, check=True)
    with testing.AppServer("shop.main:app", environment=environment) as server:
        assert len(httpx2.get(f"{server.url}/items/export").text.splitlines()) == 1500
        assert len(httpx2.get(f"{server.url}/items/1500").json()["reviews"]) == 2
