"""The Lease against a real API server whose responses are lost."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fastapi_operator.cluster import connection, lease
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.lease import Lease, LeaseLostError
from tests.api.faulty import FaultyProxy, Write
from tests.api.world import World

NAME = "fastapi-operator"


@pytest.fixture
def proxy(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(lease, "RETRY_SECONDS", 0.1)
    with FaultyProxy(world.kubeconfig) as running:
        yield running


@asynccontextmanager
async def held(world: World, kubeconfig: Path) -> AsyncIterator["asyncio.Task[None]"]:
    """A Lease that is acquired and kept."""
    client = Client(await connection.load(kubeconfig=str(kubeconfig)))
    found = Lease(
        client, namespace=world.namespace, name=NAME, identity="this", clock=time.monotonic
    )
    await found.acquire()
    task = asyncio.create_task(found.keep())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


def run(
    world: World, kubeconfig: Path, check: Callable[["asyncio.Task[None]"], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with held(world, kubeconfig) as task:
            await check(task)

    asyncio.run(main())


def test_a_renewal_whose_response_is_lost_does_not_end_the_leader(
    world: World, proxy: FaultyProxy, tmp_path: Path
) -> None:
    async def check(task: "asyncio.Task[None]") -> None:
        await asyncio.sleep(0.5)
        writes = itertools.count()
        lost: list[Write] = []

        def lose(write: Write) -> bool:
            # Each second response; aiohttp repeats the request by itself.
            chosen = next(writes) % 2 == 0
            lost.extend([write] if chosen else [])
            return chosen

        proxy.lose_response = lose
        await asyncio.sleep(2)
        proxy.lose_response = lambda _write: False
        await asyncio.sleep(1)
        assert len(lost) > 2
        assert not task.done(), task.exception()
        body = world.get("leases", NAME)
        assert body is not None
        assert body["spec"]["holderIdentity"] == "this"
        assert body["spec"]["leaseTransitions"] == 0

    run(world, proxy.kubeconfig(tmp_path), check)


def test_an_edit_of_the_lease_does_not_end_the_leader(world: World, proxy: FaultyProxy) -> None:
    async def check(task: "asyncio.Task[None]") -> None:
        world.kube.patch(world.path("leases", NAME), {"metadata": {"labels": {"team": "x"}}})
        await asyncio.sleep(1)
        assert not task.done(), task.exception()
        body = world.get("leases", NAME)
        assert body is not None
        assert body["metadata"]["labels"] == {"team": "x"}

    run(world, world.kubeconfig, check)


@pytest.mark.parametrize("holder", ["another", ""])
def test_a_lease_that_names_no_longer_this_leader_ends_it(
    world: World, proxy: FaultyProxy, holder: str
) -> None:
    async def check(task: "asyncio.Task[None]") -> None:
        world.kube.patch(world.path("leases", NAME), {"spec": {"holderIdentity": holder}})
        with pytest.raises(LeaseLostError, match="was taken"):
            await asyncio.wait_for(task, 5)

    run(world, world.kubeconfig, check)


def test_a_deleted_lease_stays_with_its_leader(world: World, proxy: FaultyProxy) -> None:
    async def check(task: "asyncio.Task[None]") -> None:
        client = Client(await connection.load(kubeconfig=str(world.kubeconfig)))
        standby = Lease(
            client, namespace=world.namespace, name=NAME, identity="other", clock=time.monotonic
        )
        waiting = asyncio.create_task(standby.acquire())
        await asyncio.sleep(0.5)
        for _ in range(5):
            world.kube.delete(world.path("leases", NAME))
            await asyncio.sleep(0.3)
        assert not waiting.done()
        assert not task.done(), task.exception()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await client.close()

    run(world, world.kubeconfig, check)
