"""The cells of the measurement: a service, a kind of work, and how much is offered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.overload.load import Seen

# Times the capacity; the first one is the reference for latency.
REFERENCE = 0.8
MULTIPLES = (0.5, REFERENCE, 1.0, 1.5, 2.0, 5.0, 10.0)
LARGEST = MULTIPLES[-1]
# Below it the generator was late; above the other one, other work used the cores. Then a cell is
# void. The node itself uses about a fifth of two cores while its services are idle.
ON_TIME_PERCENT = 99
BUSY_PERCENT = 40
LATE, BUSY = "the generator was late", "the machine was busy"


@dataclass(frozen=True)
class Work:
    """One kind of work of one service.

    Attributes:
        name: Its name in the tables.
        service: The service: ``shop`` is the demo, ``bench`` the app of the serving benchmark.
        path: The path of its requests.
        traffic: The value of ``spec.traffic``, as the owner of such a service would know it.
        runtime: Whether the app has the runtime; otherwise it is unmodified.
        cpu: CPU limit of a pod. Cheap work gets less, since the generator, which has one core,
            cannot send more than about 4,000 requests per second.
    """

    name: str
    service: str
    path: str
    traffic: Mapping[str, int] = field(default_factory=dict)
    runtime: bool = True
    cpu: str = "200m"


_JSON = {"cpuMillisecondsPerRequest": 3, "p95Milliseconds": 10}
_BLOCKING = {
    "cpuMillisecondsPerRequest": 1,
    "p95Milliseconds": 30,
    "blockingMillisecondsPerRequest": 20,
}
WORKS = (
    Work("cached read", "shop", "/items/{item}", cpu="100m"),
    Work("database", "shop", "/items?limit=20"),
    Work("JSON", "bench", "/json?rows=600", _JSON),
    Work("blocking", "bench", "/blocking", _BLOCKING, cpu="100m"),
    Work("10 % slow", "bench", "/mixed", cpu="100m"),
    Work("JSON, unmodified app", "bench", "/json?rows=600", _JSON, runtime=False),
    Work("database, unmodified app", "bench", "/database", runtime=False, cpu="100m"),
    Work("blocking, unmodified app", "bench", "/blocking", _BLOCKING, runtime=False, cpu="100m"),
)
# The same for servers of others; the query is expensive enough for one core to send ten times.
RIVAL_WORKS = (
    Work("JSON", "bench", "/json?rows=600", _JSON),
    Work("database", "bench", "/database?rows=200", cpu="100m"),
)
RIVAL_MULTIPLES = (1.0, LARGEST)


@dataclass(frozen=True)
class Around:
    """What happened to the service during a run.

    Attributes:
        restarts: Containers of the service that restarted.
        unready: The most pods that were not ready.
        not_ready: Samples in which Ready was not True.
        shed_by_app: Requests that processes of the app rejected; None if that is not known.
        proxy_microseconds: CPU time of the proxies for each request.
        busiest_share: Requests of the busiest pod, relative to an even share; 0 if not known.
    """

    restarts: int = 0
    unready: int = 0
    not_ready: int = 0
    shed_by_app: int | None = None
    proxy_microseconds: float = 0.0
    busiest_share: float = 0.0


@dataclass(frozen=True)
class Run:
    """One run of one cell.

    Attributes:
        seen: Its requests.
        around: The events of the service.
        normal_seconds: When requests were normal again after the load.
        busy_percent: How busy all cores of the machine were before it.
    """

    seen: Seen
    around: Around
    normal_seconds: float
    busy_percent: float = 0.0

    @property
    def void(self) -> str:
        """Why it does not count; empty if it does."""
        if self.seen.on_time_percent < ON_TIME_PERCENT:
            return LATE
        return BUSY if self.busy_percent > BUSY_PERCENT else ""


@dataclass
class Series:
    """All runs of one work.

    Attributes:
        work: The work.
        capacity: Good responses per second of a closed loop.
        runs: Runs by multiple of the capacity.
    """

    work: Work
    capacity: float
    runs: dict[float, list[Run]] = field(default_factory=dict)

    def best(self) -> float:
        """The best goodput at any load."""
        return max((_median_goodput(runs) for runs in self.runs.values()), default=0.0)

    def goodput(self, multiple: float) -> float:
        """The median goodput at a load."""
        return _median_goodput(self.runs[multiple])

    def p99(self, multiple: float) -> float:
        """The median of the p99 of what is served at a load."""
        return _median([run.seen.p99() for run in self.runs[multiple]])


def service(name: str, image: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a service for the measurement."""
    return {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": name},
        "spec": {"image": image, **spec},
    }


def _median_goodput(runs: list[Run]) -> float:
    return _median([run.seen.goodput for run in runs])


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
