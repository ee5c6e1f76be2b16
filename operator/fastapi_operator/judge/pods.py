"""CPU per request, growth of memory and restarts of both versions' pods, in windows of time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

from fastapi_operator.judge import sequential
from fastapi_operator.judge.counts import Version

# Long enough that a worker's CPU time and memory move, short enough for ten windows in a step.
WINDOW_SECONDS = 15.0
# A new process imports modules, connects, and fills its caches and pools.
WARM_SECONDS = 30.0
WARM_MEMORY_SECONDS = 60.0
# CPU per request that is tolerated: other nodes, cold caches and neighbours explain as much.
CPU_MARGIN = 1.2
# The least requests of each version in a window from which its CPU per request is known.
WINDOW_REQUESTS = 30
# The most that a worker uses without requests: it keeps time, measures itself and is scraped (0.002
# measured). The canary has fewer requests per worker, which would have to bear it.
IDLE_CORES_PER_WORKER = 0.005
# If that is a larger share of the CPU used in a window, its CPU per request is not known.
MAX_IDLE_SHARE = 0.25
# Growth of memory that would fill the room up to the limit within this time is a leak.
LEAK_HORIZON_SECONDS = 3600.0
# If the limit is not known, a pod may double within that time.
_ROOM_WITHOUT_LIMIT = 1.0
# A full pod has at least this share of its limit as room, so that noise is not a leak.
_LEAST_ROOM = 0.05
# A cache that fills slows down; a leak does not. Growth of the last third of the windows, relative
# to the first third.
STEADY = 0.5
_GROWTHS_KEPT = 24
# The most pods of each version to read in one look.
MAX_PODS = 12
# A day of the stable version shows how often it restarts.
MAX_POD_SECONDS = 86_400.0


@dataclass(frozen=True)
class PodReading:
    """The figures of a pod at one time. Those of an app without the runtime are None.

    Attributes:
        version: The version that it runs.
        age_seconds: The time since it started.
        restarts: Restarts of its app container.
        cpu_seconds: CPU time that its workers have used.
        requests: Requests that it has served, by its own count.
        memory_bytes: Resident memory of all its workers.
        workers: Its worker processes.
    """

    version: Version
    age_seconds: float
    restarts: int = 0
    cpu_seconds: float | None = None
    requests: int | None = None
    memory_bytes: float | None = None
    workers: float = 1.0

    def dump(self) -> list[Any]:
        """Returns the reading in a form for JSON."""
        return [
            self.version.value,
            round(self.age_seconds),
            self.restarts,
            None if self.cpu_seconds is None else round(self.cpu_seconds, 2),
            self.requests,
            None if self.memory_bytes is None else round(self.memory_bytes),
            round(self.workers),
        ]

    @classmethod
    def parse(cls, values: Sequence[Any]) -> Self:
        """Parses a dump."""
        version, age, restarts, cpu, requests, memory, workers = values
        return cls(
            Version(version),
            age_seconds=float(age),
            restarts=int(restarts),
            cpu_seconds=None if cpu is None else float(cpu),
            requests=None if requests is None else int(requests),
            memory_bytes=None if memory is None else float(memory),
            workers=float(workers),
        )


_T = TypeVar("_T", int, float)
# A reading of a pod at the beginning and at the end of a window.
_Pair = tuple[PodReading, PodReading]


@dataclass(frozen=True)
class Signs:
    """How often the canary was worse in a window.

    Attributes:
        wins: Windows in which it was worse than tolerated.
        losses: Windows in which it was not.
    """

    wins: int = 0
    losses: int = 0

    def add(self, worse: bool) -> "Signs":
        """Adds a window."""
        return Signs(self.wins + worse, self.losses + (not worse))

    @property
    def evidence(self) -> float:
        """The evidence that it is worse in more than half of all windows."""
        return sequential.mostly(self.wins, self.losses)


@dataclass(frozen=True)
class Pods:
    """The windows of both versions' pods.

    Attributes:
        began: The time at which the present window began; None before the first.
        before: The readings of the pods at that time.
        cpu: Windows by CPU per request.
        cpu_seconds: CPU time for the judged requests, by version.
        requests: The judged requests, by version.
        leak: Windows by growth of memory.
        growths: Growth of a canary pod in bytes per second, in each of the last windows.
        memory_bytes: Memory of a canary pod at the end of the last window.
        restarts: Restarts of all pods, by version, the present ones and those that are gone.
        pod_seconds: The time that the pods have run, by version.
    """

    began: float | None = None
    before: Mapping[str, PodReading] = field(default_factory=dict)
    cpu: Signs = Signs()
    cpu_seconds: Mapping[Version, float] = field(default_factory=dict)
    requests: Mapping[Version, int] = field(default_factory=dict)
    leak: Signs = Signs()
    growths: tuple[float, ...] = ()
    memory_bytes: float = 0.0
    restarts: Mapping[Version, int] = field(default_factory=dict)
    pod_seconds: Mapping[Version, float] = field(default_factory=dict)

    def record(
        self,
        at: float,
        readings: Mapping[str, PodReading],
        *,
        memory_limit_bytes: float | None,
    ) -> "Pods":
        """Adds readings; a window is judged when it is long enough.

        Args:
            at: The time, in seconds.
            readings: The readings of the pods of both versions, by pod.
            memory_limit_bytes: The memory limit of a pod; None if it has none.
        """
        if not readings:
            return self
        if self.began is None:
            return replace(self._with_restarts(readings), began=at, before=dict(readings))
        seconds = at - self.began
        if seconds < 0:
            # The clock was set back.
            return replace(self, began=at, before=dict(readings))
        if seconds < WINDOW_SECONDS:
            return self
        pairs = [
            (self.before[name], reading)
            for name, reading in readings.items()
            if name in self.before and self.before[name].restarts == reading.restarts
        ]
        judged = self._with_restarts(readings)._with_cpu(seconds, pairs)
        judged = judged._with_memory(seconds, pairs, memory_limit_bytes)
        return replace(judged, began=at, before=dict(readings))

    @property
    def restart_evidence(self) -> float:
        """The evidence that pods of the canary restart more often than stable ones."""
        costs = sequential.costs(
            requests=self.pod_seconds.get(Version.CANARY, 0.0),
            stable_requests=self.pod_seconds.get(Version.STABLE, 0.0),
            margin=1.0,
        )
        restarts = sequential.Comparison().add(
            events=self.restarts.get(Version.CANARY, 0),
            stable_events=self.restarts.get(Version.STABLE, 0),
            costs=costs,
        )
        return restarts.evidence_of_single_events

    @property
    def leak_evidence(self) -> float:
        """The evidence that memory grows, and does not slow down."""
        third = len(self.growths) // 3
        if not third:
            return sequential.NO_EVIDENCE
        first, last = sum(self.growths[:third]), sum(self.growths[-third:])
        return self.leak.evidence if last >= STEADY * first else sequential.NO_EVIDENCE

    @property
    def growth(self) -> float:
        """The mean growth of a canary pod's memory, in bytes per second."""
        return sum(self.growths) / len(self.growths) if self.growths else 0.0

    def cpu_per_request(self, version: Version) -> float | None:
        """CPU seconds for a request; None if no window was judged."""
        requests = self.requests.get(version, 0)
        return self.cpu_seconds[version] / requests if requests else None

    def dump(self) -> dict[str, Any]:
        """Returns the windows in a form for JSON."""
        return {
            "began": self.began,
            "before": {name: reading.dump() for name, reading in self.before.items()},
            "cpu": [self.cpu.wins, self.cpu.losses],
            "cpuSeconds": {key: round(value, 2) for key, value in self.cpu_seconds.items()},
            "requests": dict(self.requests),
            "leak": [self.leak.wins, self.leak.losses],
            "growths": [round(growth) for growth in self.growths],
            "memoryBytes": round(self.memory_bytes),
            "restarts": dict(self.restarts),
            "podSeconds": {key: round(value) for key, value in self.pod_seconds.items()},
        }

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Parses a dump."""
        return cls(
            began=None if data["began"] is None else float(data["began"]),
            before={name: PodReading.parse(values) for name, values in data["before"].items()},
            cpu=Signs(*map(int, data["cpu"])),
            cpu_seconds=_by_version(data["cpuSeconds"], float),
            requests=_by_version(data["requests"], int),
            leak=Signs(*map(int, data["leak"])),
            growths=tuple(map(float, data["growths"])),
            memory_bytes=float(data["memoryBytes"]),
            restarts=_by_version(data["restarts"], int),
            pod_seconds=_by_version(data["podSeconds"], float),
        )

    def _with_restarts(self, readings: Mapping[str, PodReading]) -> "Pods":
        restarts, seconds = dict(self.restarts), dict(self.pod_seconds)
        for name, reading in readings.items():
            before = self.before.get(name)
            lived = reading.age_seconds - (before.age_seconds if before else 0.0)
            gained = reading.restarts - (before.restarts if before else 0)
            seconds[reading.version] = seconds.get(reading.version, 0.0) + min(
                max(0.0, lived), MAX_POD_SECONDS
            )
            restarts[reading.version] = restarts.get(reading.version, 0) + max(0, gained)
        return replace(self, restarts=restarts, pod_seconds=seconds)

    def _with_cpu(self, seconds: float, pairs: Sequence[_Pair]) -> "Pods":
        used, requests = dict[Version, float](), dict[Version, int]()
        for version in Version:
            of_version = [pair for pair in pairs if pair[1].version is version]
            used[version] = sum(_cpu(of_version), start=0.0)
            requests[version] = sum(_requests(of_version), start=0)
        if min(requests.values()) < WINDOW_REQUESTS:
            return self
        idle = {
            version: IDLE_CORES_PER_WORKER
            * seconds
            * sum(after.workers for _, after in pairs if after.version is version)
            for version in Version
        }
        if any(idle[version] > MAX_IDLE_SHARE * used[version] for version in Version):
            return self
        canary, stable = (
            (used[version] - idle[version]) / requests[version]
            for version in (Version.CANARY, Version.STABLE)
        )
        return replace(
            self,
            cpu=self.cpu.add(canary > CPU_MARGIN * stable),
            cpu_seconds={key: self.cpu_seconds.get(key, 0.0) + used[key] for key in Version},
            requests={key: self.requests.get(key, 0) + requests[key] for key in Version},
        )

    def _with_memory(
        self, seconds: float, pairs: Sequence[_Pair], limit_bytes: float | None
    ) -> "Pods":
        grown = {version: [*_growths(pairs, version, seconds)] for version in Version}
        if not grown[Version.CANARY]:
            return self
        growth = _mean(grown[Version.CANARY])
        memory = _mean(
            [after.memory_bytes or 0.0 for _, after in pairs if after.version is Version.CANARY]
        )
        room = memory * _ROOM_WITHOUT_LIMIT
        if limit_bytes is not None:
            room = max(limit_bytes - memory, limit_bytes * _LEAST_ROOM)
        tolerated = max(room / LEAK_HORIZON_SECONDS, _mean(grown[Version.STABLE]))
        return replace(
            self,
            leak=self.leak.add(growth > tolerated),
            growths=(*self.growths, growth)[-_GROWTHS_KEPT:],
            memory_bytes=memory,
        )


def _cpu(pairs: Iterable[_Pair]) -> Iterator[float]:
    for before, after in pairs:
        if _judgeable(before, after):
            assert before.cpu_seconds is not None
            assert after.cpu_seconds is not None
            yield after.cpu_seconds - before.cpu_seconds


def _requests(pairs: Iterable[_Pair]) -> Iterator[int]:
    for before, after in pairs:
        if _judgeable(before, after):
            assert before.requests is not None
            assert after.requests is not None
            yield after.requests - before.requests


def _judgeable(before: PodReading, after: PodReading) -> bool:
    """Whether the CPU of a pod is known, and that of its start is not in it."""
    return (
        before.age_seconds >= WARM_SECONDS
        and None not in (before.cpu_seconds, after.cpu_seconds, before.requests, after.requests)
        and (after.cpu_seconds or 0.0) >= (before.cpu_seconds or 0.0)
        and (after.requests or 0) >= (before.requests or 0)
    )


def _growths(pairs: Iterable[_Pair], version: Version, seconds: float) -> Iterator[float]:
    for before, after in pairs:
        if (
            after.version is version
            and before.age_seconds >= WARM_MEMORY_SECONDS
            and before.memory_bytes is not None
            and after.memory_bytes is not None
        ):
            yield (after.memory_bytes - before.memory_bytes) / seconds


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _by_version(data: Mapping[str, Any], number: Callable[[Any], _T]) -> dict[Version, _T]:
    return {Version(name): number(value) for name, value in data.items()}
