"""2,000 clients at once, and the connections to the database that they cause."""

import asyncio
import collections
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.resilience import sampling
from tests.resilience.client import BROKEN, REFUSED, Connection, Ending, Request
from tests.resilience.scenarios import ENVIRONMENT, Bench, pods

CLIENTS = 2000
DATABASE_CONNECTIONS = 40
_WAVES = 5
_SECONDS_BETWEEN = 3
_READ = Request("list", "GET", "/items?limit=1")
# An app that ignores its pool size and opens a connection for every request.
_IGNORING = (
    {"name": "DATABASE_POOL_SIZE", "value": "500"},
    {"name": "MAX_IN_FLIGHT", "value": "2000"},
)
# All states of a connection to the database in ``SHOW POOLS``.
_SERVERS = ("sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login", "sv_active_cancel")


# Further variables of the app, by the name of the case.
CASES: Mapping[str, Sequence[Mapping[str, str]]] = {
    f"{CLIENTS} clients": (),
    f"{CLIENTS} clients, and an app that ignores its pool size": _IGNORING,
}
HEADINGS = (
    "clients",
    "connections open",
    "database connections, `SHOW POOLS`",
    "`pg_stat_activity`",
    "waiting in the poolers",
    "responses",
)


@dataclass(frozen=True)
class Crowd:
    """The observations of the clients and the database.

    Attributes:
        name: The behaviour of the app.
        open: Client connections open at the same time, at the last wave's end.
        outcomes: The outcomes of the requests.
        pooled: The peak of server connections of all poolers, by ``SHOW POOLS``.
        backends: The peak of the app's connections, by ``pg_stat_activity``.
        waiting: The peak of clients that wait in a pooler.
    """

    name: str
    open: int
    outcomes: collections.Counter[str]
    pooled: int
    backends: int
    waiting: int

    @property
    def broken(self) -> list[str]:
        """Returns the promises that were broken."""
        found = []
        if self.open < CLIENTS:
            found.append(f"{self.open} of {CLIENTS} client connections stayed open")
        if max(self.pooled, self.backends) > DATABASE_CONNECTIONS:
            found.append(f"{max(self.pooled, self.backends)} connections to the database")
        if not self.backends or not self.pooled or not self.outcomes["200"]:
            found.append("nothing reached the database")
        return found

    def row(self) -> list[str]:
        """Its row of the table."""
        outcomes = ", ".join(
            f"{outcome}: {count}" for outcome, count in sorted(self.outcomes.items())
        )
        numbers = (self.open, self.pooled, self.backends, self.waiting)
        return [self.name, *map(str, numbers), outcomes]

    def report(self) -> str:
        """Returns the row and the broken promises."""
        return "\n".join(
            (" | ".join(self.row()), *(f"  BROKEN {violation}" for violation in self.broken))
        )


def gather(bench: Bench, name: str) -> Crowd:
    """All clients connect and send requests at once, repeatedly, on persistent connections."""
    bench.patch({"env": [*ENVIRONMENT, *CASES[name]]})
    bench.wait_until_ready()
    with contextlib.ExitStack() as stack:
        backends = stack.enter_context(sampling.database_connections(bench))
        pools = [stack.enter_context(sampling.pools(bench, pod)) for pod in pods(bench, "pooler")]
        still_open, outcomes = asyncio.run(_waves(bench.address))
    return Crowd(
        name=name,
        open=still_open,
        outcomes=outcomes,
        pooled=sum(_most(pool, _SERVERS) for pool in pools),
        backends=max(backends, default=0),
        waiting=sum(_most(pool, ("cl_waiting",)) for pool in pools),
    )


def _most(samples: Sequence[Mapping[str, int]], states: Sequence[str]) -> int:
    return max((sum(sample[state] for state in states) for sample in samples), default=0)


async def _waves(host: str) -> tuple[int, collections.Counter[str]]:
    clients = [_Client(host) for _ in range(CLIENTS)]
    outcomes: collections.Counter[str] = collections.Counter()
    for _ in range(_WAVES):
        endings = await asyncio.gather(*(client.send() for client in clients))
        outcomes.update(ending.outcome for ending in endings)
        await asyncio.sleep(_SECONDS_BETWEEN)
    still_open = sum(client.is_connected for client in clients)
    for client in clients:
        client.leave()
    return still_open, outcomes


class _Client:
    """One client, which keeps its connection."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._connection: Connection | None = None

    @property
    def is_connected(self) -> bool:
        return self._connection is not None and self._connection.is_open

    async def send(self) -> Ending:
        try:
            if not self.is_connected:
                self._connection = await Connection.opened(self._host, 80)
        except OSError as error:
            return Ending(REFUSED, str(error))
        assert self._connection is not None
        try:
            ending = await self._connection.exchange(_READ.encoded(self._host, last=False))
        except (OSError, asyncio.IncompleteReadError) as error:
            ending = Ending(BROKEN, repr(error))
        if not ending.reusable:
            self.leave()
        return ending

    def leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
