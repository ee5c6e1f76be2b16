"""A real uvicorn with several times the requests that it can serve, sent as a proxy sends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fastapi_operator_runtime import testing

GIVE_UP_SECONDS = 2.0
BUSY_SECONDS = 0.02  # CPU time of a request: at most 50 of them can be served in a second
RATE = 200


@dataclass(frozen=True)
class Answer:
    status: int
    seconds: float


@pytest.fixture
def server(app_directory: Path) -> Iterator[testing.AppServer]:
    environment = {"MAX_IN_FLIGHT": "64", "TRUST_REQUEST_START": "true"}
    with testing.AppServer(
        "served_app:limited", app_directory=app_directory, environment=environment
    ) as found:
        yield found


async def request(port: int) -> Answer:
    """One request on its own connection; status 0 if the client gave up."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                head = f"GET /busy HTTP/1.1\r\nHost: a\r\nX-Request-Start: t={time.time():.3f}\r\n"
                writer.write(f"{head}Connection: close\r\n\r\n".encode())
                status = int((await reader.read()).split(b" ", 2)[1])
            finally:
                writer.close()
    except (TimeoutError, OSError, IndexError):
        status = 0
    return Answer(status, time.monotonic() - began)


async def open_loop(port: int, rate: float, seconds: float) -> list[Answer]:
    """Arrivals do not wait for responses."""
    tasks, began = [], time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds:
        while len(tasks) < elapsed * rate:
            tasks.append(asyncio.create_task(request(port)))
        await asyncio.sleep(0.005)
    return list(await asyncio.gather(*tasks))


def served(answers: list[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.status == 200]


def cpu(server: testing.AppServer) -> tuple[float, float]:
    """The seconds for which the event loop has used a CPU, and has waited for one."""
    used, waited, _ = Path(f"/proc/{server.pid}/schedstat").read_text().split()
    return int(used) / 1e9, int(waited) / 1e9


async def test_goodput_holds_at_several_times_the_load(server: testing.AppServer) -> None:
    """Without the ages of requests, about one in a hundred is served before its client leaves."""
    before = cpu(server)
    answers = await open_loop(server.port, rate=RATE, seconds=8)
    used, waited = (now - then for now, then in zip(cpu(server), before, strict=True))
    if waited > 2 * used:
        pytest.skip(
            f"the machine is too busy: {used:.1f} s of CPU, {waited:.1f} s of waiting for it"
        )
    good = served(answers)
    assert {answer.status for answer in answers} <= {0, 200, 503}
    # In terms of CPU time, because others may use the machine too.
    assert len(good) * BUSY_SECONDS >= 0.25 * used, (len(good), used)
    assert sorted(answer.seconds for answer in good)[len(good) // 2] < 1.0
    assert server.sample("fastapi_worker_shed_requests_total", reason="queue") > 0
    after = await open_loop(server.port, rate=5, seconds=2)
    assert len(served(after)) >= len(after) - 2, "it is normal again at once"
