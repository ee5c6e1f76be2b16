"""The clients' requests to the shop: reads from Redis, lists from the database, and writes."""

import itertools
import json
import time
from collections.abc import Iterator, Sequence

from tests.e2e.conftest import Shop
from tests.resilience.client import Request
from tests.resilience.load import Answer

CACHED, LIST, WRITE = "cached read", "list", "write"
_HOT_ITEMS = 50
# In each ten requests.
_MIX = (CACHED, LIST, CACHED, CACHED, WRITE, CACHED, CACHED, LIST, CACHED, CACHED)


class Traffic:
    """Requests in a fixed mix; the writes carry a name of their own each."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._prefix = f"resilience-{time.time_ns()}"
        self._hot = [self._stored(number) for number in range(_HOT_ITEMS)]

    def requests(self) -> Iterator[Request]:
        """The requests, without an end."""
        for number, kind in enumerate(itertools.cycle(_MIX)):
            match kind:
                case "write":
                    yield Request(WRITE, "POST", "/items", _item(f"{self._prefix}-{number}"))
                case "list":
                    yield Request(LIST, "GET", "/items?limit=20")
                case _:
                    yield Request(CACHED, "GET", f"/items/{self._hot[number % _HOT_ITEMS]}")

    def warm(self) -> None:
        """Brings the items that are read from the cache into it."""
        for item in self._hot:
            self._shop.request("GET", f"/items/{item}")

    def unaccounted(self, answers: Sequence[Answer]) -> tuple[int, int]:
        """Compares the writes with the database.

        Returns:
            Writes that the database has twice, and those that were confirmed without being done or
            are there without having been sent.
        """
        writes = [answer for answer in answers if answer.request.kind == WRITE]
        done = sum(answer.answered for answer in writes)
        result = self._shop.database(
            "COPY (SELECT count(*), count(*) - count(DISTINCT name) FROM items "
            f"WHERE name LIKE '{self._prefix}-%') TO STDOUT"
        )
        rows, twice = map(int, result.split())
        rows -= _HOT_ITEMS
        return twice, max(0, done - rows) + max(0, rows - len(writes))

    def _stored(self, number: int) -> int:
        answer = self._shop.request(
            "POST", "/items", {"name": f"{self._prefix}-hot-{number}", "price_cents": 100}
        )
        assert answer.status == 201, answer.body
        return int(answer.body["id"])


def _item(name: str) -> bytes:
    return json.dumps({"name": name, "price_cents": 100}).encode()
