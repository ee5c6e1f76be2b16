"""No route of the shop blocks the event loop, measured in the process of the app.

The responses of PostgreSQL and Redis are late. A blocking client would stall the loop for each of
them; an asynchronous one lets it run. The same is true of CPU work that belongs in a thread.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi_operator_runtime import testing

DELAY_SECONDS = 0.06
# A late response takes three times as long, a password hash one and a half times. What belongs into
# the loop, for example to parse a body, takes a few milliseconds.
LONGEST_SECONDS = DELAY_SECONDS / 3
# Another process can delay this one, but not each time; a blocking call blocks each time.
ATTEMPTS = 8

ADA = {"name": "Ada", "email": "ada@example.com", "password": "correct horse"}
LAMP = {"name": "Lamp", "description": "It glows. " * 50, "price_cents": 1990}
SIGN_IN = {key: ADA[key] for key in ("email", "password")}

# (method, route, status) -> path and body of an attempt. Attempts differ if the second one would
# take another branch, for example find in the cache what the first one loaded.
Attempt = Callable[[int], tuple[str, Any]]
CALLS: dict[tuple[str, str, int], Attempt] = {
    ("POST", "/users", 201): lambda n: ("/users", ADA | {"email": f"ada{n}@example.com"}),
    ("POST", "/users", 409): lambda _: ("/users", ADA),
    ("POST", "/users", 422): lambda _: ("/users", ADA | {"email": "a" * 60_000}),
    ("GET", "/users/{user_id}", 200): lambda _: ("/users/1", None),
    ("GET", "/users/{user_id}", 404): lambda _: ("/users/404", None),
    ("GET", "/users/me", 200): lambda _: ("/users/me", None),
    ("POST", "/tokens", 201): lambda _: ("/tokens", SIGN_IN),
    ("POST", "/tokens", 401): lambda _: ("/tokens", SIGN_IN | {"email": "eve@example.com"}),
    ("POST", "/items", 201): lambda _: ("/items", LAMP),
    ("GET", "/items", 200): lambda _: ("/items?limit=100", None),
    ("GET", "/items/export", 200): lambda _: ("/items/export", None),
    ("GET", "/items/{item_id}", 200): lambda n: (f"/items/{n}", None),
    ("GET", "/items/{item_id}", 404): lambda n: (f"/items/{10**6 + n}", None),
    ("GET", "/items/{item_id}", 304): lambda _: ("/items/1", None),
    ("POST", "/items/{item_id}/reviews", 201): lambda n: (f"/items/{n}/reviews", {"rating": 5}),
    ("POST", "/items/{item_id}/reviews", 404): lambda _: ("/items/1000000/reviews", {"rating": 5}),
    ("POST", "/orders", 201): lambda _: (
        "/orders",
        {"lines": [{"item_id": item, "quantity": 1} for item in range(1, 51)]},
    ),
    ("GET", "/orders/{order_id}", 200): lambda _: ("/orders/1", None),
    ("GET", "/labs/async", 200): lambda _: ("/labs/async", None),
    ("GET", "/labs/sync", 200): lambda _: ("/labs/sync", None),
    ("GET", "/labs/compute", 200): lambda _: ("/labs/compute?where=process", None),
    ("GET", "/labs/label", 200): lambda n: (f"/labs/label?price_cents={n}", None),
    ("POST", "/labs/memory", 200): lambda _: ("/labs/memory?mebibytes=1", None),
    ("GET", "/labs/error", 500): lambda _: ("/labs/error", None),
}
BLOCKING = [("GET", "/labs/blocking?seconds=0.1"), ("GET", "/labs/compute?where=inline")]


@pytest.fixture(scope="module")
def served(
    postgres: testing.PostgresServer,
    pooler: testing.PgBouncerServer,
    redis_server: testing.RedisServer,
) -> Iterator[httpx2.Client]:
    """A client of the shop behind late networks, signed in as Ada, with items and an order."""
    postgres.create_database("stalls", template="migrated")
    redis = redis_server.url.removesuffix("/0") + "/13"
    subprocess.run(["redis-cli", "-u", redis, "flushdb"], check=True, capture_output=True)
    with (
        testing.SlowLink(pooler.port) as to_database,
        testing.SlowLink(redis_server.port) as to_redis,
    ):
        environment = {
            "DATABASE_URL": pooler.url("stalls").replace(
                f":{pooler.port}/", f":{to_database.port}/"
            ),
            "REDIS_URL": redis.replace(f":{redis_server.port}/", f":{to_redis.port}/"),
            "REDIS_TIMEOUT_SECONDS": "10",
            "LABS": "true",
        }
        with (
            testing.AppServer(
                "watched_shop:app", environment=environment, app_directory=Path(__file__).parent
            ) as server,
            httpx2.Client(base_url=server.url, timeout=30) as client,
        ):
            client.post("/users", json=ADA)
            seed = [sys.executable, "-m", "shop.seed", "--items", "1500", "--reviews", "2"]
            subprocess.run(seed, env=server.environment(), check=True)
            token = client.post("/tokens", json=SIGN_IN).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            client.post("/orders", json={"lines": [{"item_id": 1, "quantity": 1}]})
            client.get("/labs/compute?where=process&rounds=1")  # starts the process
            to_database.delay_seconds = to_redis.delay_seconds = DELAY_SECONDS
            yield client
    postgres.drop_database("stalls")


def test_every_route_is_called(served: httpx2.Client) -> None:
    paths = served.get("/openapi.json").json()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    blocking = {(method, path.partition("?")[0]) for method, path in BLOCKING}
    assert routes == {(method, route) for method, route, _ in CALLS} | blocking


@pytest.mark.parametrize(("method", "route", "status"), CALLS)
def test_a_route_does_not_block_the_event_loop(
    served: httpx2.Client, method: str, route: str, status: int
) -> None:
    headers = {"If-None-Match": served.get("/items/1").headers["etag"]} if status == 304 else {}
    stalls: list[float] = []
    while not stalls or (min(stalls) > LONGEST_SECONDS and len(stalls) < ATTEMPTS):
        path, body = CALLS[method, route, status](100 + len(stalls))
        served.get("/longest-stall")
        response = served.request(method, path, json=body, headers=headers)
        assert response.status_code == status, response.text
        stalls.append(served.get("/longest-stall").json())
    assert min(stalls) <= LONGEST_SECONDS, f"the event loop was blocked for {stalls} s"


@pytest.mark.parametrize(("method", "path"), BLOCKING)
def test_a_blocked_event_loop_is_found(served: httpx2.Client, method: str, path: str) -> None:
    served.get("/longest-stall")
    assert served.request(method, path).status_code == 200
    assert served.get("/longest-stall").json() > LONGEST_SECONDS
