"""The queue: once a key, one pass at a time, back-off; by a clock that the test moves."""

import asyncio

import pytest

from fastapi_operator.reconcile.loop.queue import Queue
from fastapi_operator.reconcile.observe.identity import ServiceKey

A, B = ServiceKey("default", "a"), ServiceKey("default", "b")


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> Queue:
    return Queue(clock=clock, jitter=lambda: 0.0)


def test_a_key_added_twice_is_handed_out_once(queue: Queue) -> None:
    queue.add(A)
    queue.add(A)
    assert queue.take() == A
    queue.done(A)
    assert queue.take() is None


def test_an_active_key_is_handed_out_again_when_it_is_done(queue: Queue) -> None:
    queue.add(A)
    assert queue.take() == A
    queue.add(A)
    assert queue.take() is None
    queue.done(A)
    assert queue.take() == A


def test_an_active_key_does_not_block_others(queue: Queue) -> None:
    queue.add(A)
    assert queue.take() == A
    queue.add(A)
    queue.add(B)
    assert queue.take() == B
    assert queue.take() is None


def test_a_delayed_key_moves_forward_if_it_is_added_again(queue: Queue, clock: Clock) -> None:
    queue.add(A, delay=10)
    assert queue.take() is None
    assert queue.next_in() == 10
    queue.add(A, delay=2)
    queue.add(A, delay=30)
    clock.now += 2
    assert queue.take() == A
    queue.done(A)
    clock.now += 100
    assert queue.take() is None


def test_failures_back_off_and_a_success_resets_them(queue: Queue, clock: Clock) -> None:
    waits = []
    for _ in range(11):
        queue.add(A)
        assert queue.take() == A
        waits.append(queue.retry(A))
        queue.done(A)
        clock.now += waits[-1]
        assert queue.take() == A
        queue.done(A)
    assert waits[:5] == [1, 2, 4, 8, 16]
    assert waits[-1] == 300
    queue.succeeded(A)
    assert queue.retry(A) == 1


def test_a_longer_delay_of_the_server_is_used(queue: Queue) -> None:
    assert queue.retry(A, min_delay=20) == 20


def test_jitter_spreads_by_half(clock: Clock) -> None:
    queue = Queue(clock=clock, jitter=lambda: 1.0)
    assert queue.retry(A) == 1.5


def test_a_dropped_key_is_not_handed_out(queue: Queue) -> None:
    queue.add(A)
    queue.forget(A)
    assert queue.take() is None
    assert queue.next_in() is None or queue.next_in() == 0


def test_a_paused_queue_hands_out_nothing(queue: Queue) -> None:
    queue.add(A)
    queue.pause()
    assert queue.take() is None
    assert queue.next_in() is None
    queue.resume()
    assert queue.take() == A


def test_depth_and_oldest_wait_count_due_keys(queue: Queue, clock: Clock) -> None:
    queue.add(A)
    queue.add(B, delay=5)
    clock.now += 3
    assert (queue.depth, queue.oldest_wait_seconds) == (1, 3)
    clock.now += 4
    assert (queue.depth, queue.oldest_wait_seconds) == (2, 7)


def test_keys_with_slack_let_others_go_first(queue: Queue, clock: Clock) -> None:
    queue.add(A, slack=5)
    clock.now += 4
    queue.add(B)
    assert [queue.take(), queue.take()] == [B, A]


def test_slack_ends(queue: Queue, clock: Clock) -> None:
    queue.add(A, slack=5)
    clock.now += 6
    queue.add(B)
    assert [queue.take(), queue.take()] == [A, B]


def test_a_key_loses_its_slack_if_it_is_added_without(queue: Queue, clock: Clock) -> None:
    queue.add(A, slack=30)
    queue.add(B, slack=5)
    queue.add(A)
    assert [queue.take(), queue.take(), queue.take()] == [A, B, None]


def test_a_key_with_slack_is_not_handed_out_before_it_is_due(queue: Queue, clock: Clock) -> None:
    queue.add(A, delay=10)
    queue.add(B, slack=30)
    assert [queue.take(), queue.take()] == [B, None]
    assert queue.next_in() == 10


async def test_waiting_workers_share_the_work() -> None:
    queue = Queue(clock=asyncio.get_running_loop().time)
    seen: list[ServiceKey] = []

    async def work() -> None:
        while True:
            key = await queue.get()
            seen.append(key)
            await asyncio.sleep(0.01)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.add(A)
    queue.add(B)
    queue.add(A, delay=0.05)
    await asyncio.sleep(0.15)
    for worker in workers:
        worker.cancel()
    assert sorted(seen) == [A, B]  # A moved forward: the later entry is obsolete


async def test_a_key_added_while_active_is_handed_out_again_at_once() -> None:
    queue = Queue(clock=asyncio.get_running_loop().time)
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    queue.done(A)
    async with asyncio.timeout(1):
        assert await queue.get() == A


async def test_idle_waits_for_active_reconciliations() -> None:
    queue = Queue(clock=asyncio.get_running_loop().time)
    queue.add(A)
    assert await queue.get() == A
    queue.pause()
    waiting = asyncio.create_task(queue.idle())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    queue.done(A)
    async with asyncio.timeout(1):
        await waiting
