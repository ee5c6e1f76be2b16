"""Simulates one canary from its first look to its promotion or abort, with the real judge."""

import random
from dataclasses import dataclass, replace

from fastapi_operator.judge.counts import Version, Versions
from fastapi_operator.judge.ledger import Ledger
from fastapi_operator.judge.pods import PodReading
from fastapi_operator.judge.verdict import Action, Limits, judge
from tests.benchmarks.canary import traffic
from tests.benchmarks.canary.traffic import LOOK_SECONDS, Behaviour, Clients

STEPS = (5, 25, 50)
STEP_SECONDS = 120
LIMITS = Limits(min_requests=500)
MAX_WAIT_SECONDS = 3600
CLIENTS = 400
STABLE_PODS = 4
_MIB = 2**20
MEMORY_LIMIT_BYTES = 512 * _MIB
# Durations count after so long in a step, as in the reconciler.
WARMING_SECONDS = 30
# CPU of a worker with the runtime at rest, as measured.
IDLE_CORES = 0.002
# Pods differ by their nodes and neighbours.
POD_SPREAD = 0.05
# The looks in which an outage lasts, and the share of requests that fail.
OUTAGE, OUTAGE_SHARE = range(30, 42), 0.3
# Pods are read at each third look.
_PODS_EVERY = 3


@dataclass(frozen=True)
class End:
    """The end of a rollout.

    Attributes:
        action: ABORT, ADVANCE after the last step, or WAIT if a step lasted too long.
        cause: The first sentence of the verdict.
        seconds: Its duration.
        step: The step in which it ended.
        canary_share: The share of all requests that the canary got.
    """

    action: Action
    cause: str
    seconds: int
    step: int
    canary_share: float


class Rollout:
    """One simulated rollout.

    Args:
        seed: The seed of its randomness.
        canary: How the new version behaves.
        stable: How the old version behaves.
        rate: Requests per second of both versions.
        limits: The bounds of the judge.
        outage: Whether a server that both versions need fails for a minute.
    """

    def __init__(
        self,
        seed: int,
        *,
        canary: Behaviour,
        stable: Behaviour,
        rate: float = 200.0,
        limits: Limits = LIMITS,
        outage: bool = False,
    ) -> None:
        self._draws = random.Random(seed)
        # The canary's pods run on other nodes than most of the stable ones.
        speed = self._draws.choice((-1, 0, 1))
        self._canary = replace(canary, speed_index=canary.speed_index + speed)
        self._stable = stable
        self._rate = rate
        self._limits = limits
        self._outage = OUTAGE if outage else range(0)
        self._clients = Clients(self._draws, CLIENTS)
        self._offset = self._draws.randrange(len(traffic.pieces()))
        self._look = 0
        self._pods: dict[str, _Pod] = {}
        for number in range(STABLE_PODS):
            self._add_pod(Version.STABLE, number, age=86_400.0)

    def run(self) -> End:
        """Runs it to its end."""
        ledger, begun = Ledger.new("canary"), 0
        for step, percent in enumerate(STEPS, 1):
            began, counted = self._look, Versions()
            shares = self._clients.of_canary(percent / 100)
            for number in range(-(-STABLE_PODS * percent // 100)):
                self._add_pod(Version.CANARY, number, age=0.0)
            while True:
                self._look += 1
                in_step = (self._look - began) * LOOK_SECONDS
                gained = self._count(*shares)
                counted += gained
                self._use(gained)
                ledger = ledger.record(
                    at=float(self._look * LOOK_SECONDS),
                    step=step,
                    proxies={"proxy": {step: counted}},
                    pods={} if self._look % _PODS_EVERY else self._read_pods(),
                    warming=in_step <= WARMING_SECONDS,
                    memory_limit_bytes=MEMORY_LIMIT_BYTES,
                )
                verdict = judge(ledger, self._limits)
                waited = in_step >= MAX_WAIT_SECONDS
                if verdict.action is Action.ABORT or waited:
                    return self._end(ledger, verdict.action, verdict.evidence[0], step, begun)
                if verdict.action is Action.ADVANCE and in_step >= STEP_SECONDS:
                    break
        return self._end(ledger, Action.ADVANCE, verdict.evidence[0], step, begun)

    def _end(self, ledger: Ledger, action: Action, cause: str, step: int, begun: int) -> End:
        requests = ledger.total.canary.requests
        share = requests / max(1, requests + ledger.total.stable.requests)
        return End(action, cause, (self._look - begun) * LOOK_SECONDS, step, share)

    def _count(self, share: float, share_of_errors: float) -> Versions:
        piece = (self._offset + self._look) % len(traffic.pieces())
        requests = self._rate * LOOK_SECONDS * traffic.busyness()[piece]
        failing = OUTAGE_SHARE if self._look in self._outage else 0.0
        found = [
            traffic.counts(
                self._draws,
                requests=requests * own,
                errors=requests * (own_errors * behaviour.error_share + own * failing),
                shape=traffic.shapes(behaviour.tail_factor, behaviour.speed_index)[piece],
            )
            for behaviour, own, own_errors in (
                (self._stable, 1 - share, 1 - share_of_errors),
                (self._canary, share, share_of_errors),
            )
        ]
        return Versions(*found)

    def _add_pod(self, version: Version, number: int, *, age: float) -> None:
        name = f"{version}-{number}"
        if name not in self._pods:
            behaviour = self._canary if version is Version.CANARY else self._stable
            spread = self._draws.lognormvariate(0, POD_SPREAD)
            self._pods[name] = _Pod(version, behaviour, spread, age)

    def _use(self, gained: Versions) -> None:
        for version, counts in ((Version.STABLE, gained.stable), (Version.CANARY, gained.canary)):
            own = [pod for pod in self._pods.values() if pod.version is version]
            cpu = self._draws.choice(traffic.cpu_per_request())
            for pod in own:
                pod.serve(counts.requests / len(own), cpu)

    def _read_pods(self) -> dict[str, PodReading]:
        return {name: pod.read() for name, pod in self._pods.items()}


class _Pod:
    """A pod with one worker."""

    def __init__(self, version: Version, behaviour: Behaviour, spread: float, age: float) -> None:
        self.version = version
        self._behaviour = behaviour
        self._spread = spread
        self._age = age
        self._cpu_seconds = 0.0
        self._requests = 0.0
        self._leaked = 0.0

    def serve(self, requests: float, cpu_per_request: float) -> None:
        """Serves until the next look."""
        used = requests * cpu_per_request * self._spread * self._behaviour.cpu_factor
        self._cpu_seconds += used + IDLE_CORES * LOOK_SECONDS
        self._requests += requests
        self._age += LOOK_SECONDS
        self._leaked += self._behaviour.leak_bytes_per_second * LOOK_SECONDS

    def read(self) -> PodReading:
        """Returns its figures."""
        return PodReading(
            version=self.version,
            age_seconds=self._age,
            cpu_seconds=self._cpu_seconds,
            requests=round(self._requests),
            memory_bytes=traffic.memory_bytes(self._age) + self._leaked,
        )
