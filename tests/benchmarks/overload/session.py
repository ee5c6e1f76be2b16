"""What a measurement shares: its options, the node, the kept cells, and a load with its events."""

import concurrent.futures
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.benchmarks import document
from tests.benchmarks.overload import bench, cells, load
from tests.benchmarks.overload.cells import Run, Work
from tests.benchmarks.overload.kept import Kept
from tests.benchmarks.overload.load import Seen
from tests.cluster import progress

# A closed loop of so many clients shows the capacity.
_LOOP_CLIENTS = 24
_AFTER_SECONDS, _AFTER_RATE = 8, 20


@dataclass(frozen=True)
class Options:
    """How much is measured.

    Attributes:
        only: Parts of the names of works; empty strings match all.
        multiples: Loads, relative to the capacity.
        seconds: Length of one run.
        rounds: Runs of each cell.
        others: Whether changes, crowds and streams are measured too.
        resume: Whether cells of the same code are kept.
        minutes: After so long no further cell begins.
    """

    only: Sequence[str] = ("",)
    multiples: Sequence[float] = cells.MULTIPLES
    seconds: float = 20
    rounds: int = 2
    others: bool = True
    resume: bool = False
    minutes: float = float("inf")


class _OverError(Exception):
    """The time is over, and the next cell is left to the next piece."""


class Session:
    """The node, prepared for the first cell that is not kept, and the kept cells.

    Args:
        options: How much is measured.
        kept: The cells of the same code.
        stack: Removes the node.
    """

    def __init__(self, options: Options, kept: Kept, stack: contextlib.ExitStack) -> None:
        self._kept, self._stack = kept, stack
        self._ends = time.monotonic() + 60 * options.minutes
        self._seconds = options.seconds
        self._node: bench.Bench | None = None
        self._service: tuple[Work, bench.Service, str] | None = None

    def node(self) -> bench.Bench:
        """Returns the node."""
        if self._node is None:
            self._node = self._stack.enter_context(bench.prepared())
        return self._node

    def service(self, work: Work) -> tuple[bench.Service, str]:
        """Returns the service of a work, ready for it, and the URL of its requests."""
        if self._service is None or self._service[0] != work:
            service = self.node().service(work)
            self._service = work, service, self.node().url(service, work)
        return self._service[1:]

    def capacity(self, name: str, url: Callable[[], str]) -> float:
        """Returns the kept capacity, or measures it in a closed loop of clients.

        Args:
            name: Its name among the kept cells.
            url: Returns the URL of the requests, which is then ready for them.
        """
        cell = f"{name}, {self._seconds:g} s"
        if (kept := self._kept.capacity(cell)) is not None:
            return kept
        target, clients, core = url(), _LOOP_CLIENTS, bench.GENERATOR_CORE
        load.crowd(target, clients=clients, seconds=3, core=core)
        found = load.crowd(target, clients=clients, seconds=self._seconds / 2, core=core).goodput
        self._kept.keep_capacity(cell, found)
        progress.say(f"{name}: {found:.0f}/s in a closed loop")
        return found

    def run(self, name: str, measure: Callable[[], Run]) -> Run:
        """Returns the kept run of a cell, or measures it.

        Raises:
            _OverError: The time is over.
        """
        cell = f"{name}, {self._seconds:g} s"
        if (kept := self._kept.run(cell)) is not None:
            return kept
        if time.monotonic() > self._ends:
            raise _OverError
        found = measure()
        self._kept.keep_run(cell, found)
        return found


def in_session(options: Options, kept: Kept, measure: Callable[[Session], None]) -> str:
    """Measures until it is done or the time is over; the node is removed afterwards.

    Args:
        options: How much is measured.
        kept: The cells of the same code.
        measure: Measures in a session.

    Returns:
        The machine and the duration, in one line.
    """
    facts, began, end = document.machine(), time.monotonic(), ""
    with contextlib.ExitStack() as stack:
        try:
            measure(Session(options, kept, stack))
        except _OverError:
            end = "; unfinished, continue with --resume"
    return f"{facts}; {(time.monotonic() - began) / 60:.0f} minutes{end}."


def open_loop(
    node: bench.Bench, service: bench.Service, url: str, rate: float, seconds: float
) -> Run:
    """Offers a load to a service, and returns it with what happened to the service meanwhile."""
    busy = bench.busy_percent()
    before, proxy = service.counters(), node.proxy_seconds(service)
    watch = bench.Watch(service)
    with watch.running(), concurrent.futures.ThreadPoolExecutor(1) as pool:
        afterwards = pool.submit(_after, url, seconds)
        seen = load.run(url, rate=rate, seconds=seconds, core=bench.GENERATOR_CORE)
        normal = afterwards.result().normal_after_seconds
        proxy = node.proxy_seconds(service) - proxy
        after = service.counters()
    found = bench.around(watch, before, after, proxy, seen.requests)
    return Run(seen, found, normal, busy)


def _after(url: str, seconds: float) -> Seen:
    """Sends a few requests from the end of the load, while its last responses are awaited."""
    time.sleep(seconds)
    return load.run(url, rate=_AFTER_RATE, seconds=_AFTER_SECONDS, core=bench.GENERATOR_CORE)
