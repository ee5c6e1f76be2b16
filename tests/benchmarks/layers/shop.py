"""The shop with an item in Redis, so that its database is not used."""

import contextlib
import json
import subprocess
from collections.abc import Iterator

from fastapi_operator_runtime.testing import RedisServer

from tests.benchmarks.runtime.servers import PRIVATE_PORTS, Kind

NAME = "the shop's cached item, with the runtime"
_ITEM = 1
_KEY = f"shop:item:v1:{_ITEM}"
# As the items of the seed: a description of 2 kB, and three reviews.
_BODY = json.dumps(
    {
        "id": _ITEM,
        "name": "item 1",
        "price_cents": 1999,
        "created_at": "2026-01-01T00:00:00Z",
        "description": "d" * 2000,
        "reviews": [
            {
                "id": number,
                "author_id": 1,
                "rating": 5,
                "body": "b" * 100,
                "created_at": "2026-01-01T00:00:00Z",
            }
            for number in range(3)
        ],
    }
)


@contextlib.contextmanager
def cached() -> Iterator[Kind]:
    """Starts Redis with an item, and returns how to serve it from there."""
    with RedisServer() as redis:
        command = ["redis-cli", "-u", redis.url, "--no-auth-warning", "-x", "SET", _KEY]
        subprocess.run(command, input=_BODY, text=True, check=True, capture_output=True)
        yield Kind(
            NAME,
            "shop",
            ports=PRIVATE_PORTS,
            environment={
                "REDIS_URL": redis.url,
                # A server whose instructions are counted is slow.
                "REDIS_TIMEOUT_SECONDS": "60",
                "REDIS_MAX_CONNECTIONS": "20",
                "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
                "MAX_IN_FLIGHT": "128",
            },
            path=f"/items/{_ITEM}",
        )
