"""Services on a node whose numbers are wrong, and the trials that correct them, under load.

Measurements, trials and verdicts are those of the operator in its pod. Only the periods of
measurements pass faster: a week in ten minutes. The times of canaries are real.
"""

import contextlib
import itertools
import json
import math
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.tuning_record import TuningRecord
from fastapi_operator.tuning.measurements import Figure
from tests.demo import story, targets
from tests.full.canary import rollouts
from tests.full.canary.conftest import Platform
from tests.full.canary.course import READY_SECONDS
from tests.kubectl import eventually
from tests.resilience.client import Request
from tests.resilience.load import Answer, Load
from tests.resilience.scenarios import Bench

PACE = 1000
SECTION = "trials of numbers"
HEADINGS = (
    "service",
    "numbers",
    "verdict of the operator",
    "requests/s",
    "figure",
    "s from apply to the end",
    "lost before, during, after the trial",
    "p99 of all clients in ms",
    "reason",
)
_MIB = 2**20
_WEEK_SECONDS = 7 * 86_400
# Before and after a trial, in its row.
AROUND_SECONDS = 30


@dataclass(frozen=True)
class Stream:
    """Requests of one kind.

    Attributes:
        rate: Requests per second.
        path: Their path.
        burst: So many arrive at once.
        of: Returns other requests than those for the path.
    """

    rate: float
    path: str = "/items"
    burst: int = 1
    of: Callable[[Bench], Iterator[Request]] | None = None

    def requests(self, bench: Bench) -> Iterator[Request]:
        """Returns the requests, without an end."""
        if self.of is not None:
            return self.of(bench)
        return itertools.repeat(Request("items", "GET", self.path))

    def __str__(self) -> str:
        """The stream in a row."""
        return f"{self.rate:g}" + (f" in bursts of {self.burst}" if self.burst > 1 else "")


@dataclass(frozen=True)
class Case:
    """A service that begins with wrong numbers.

    Attributes:
        name: Its row, and its namespace.
        streams: Its requests until ``calm``, if that is given.
        calm: Its requests afterwards.
        spec: Further fields of its spec.
        environment: The variables of its app.
        accepted: Figures that were accepted of an app that had other requests.
        step_seconds: The least time of a step.
        min_requests: The least requests of a step.
        max_wait_seconds: The longest time of a step.
    """

    name: str
    streams: Sequence[Stream]
    calm: Stream | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    accepted: Mapping[str, float] = field(default_factory=dict)
    step_seconds: int = 30
    min_requests: int = 100
    max_wait_seconds: int = 300

    @property
    def load(self) -> str:
        """Its requests, in a row."""
        text = " and ".join(map(str, self.streams))
        return text if self.calm is None else f"{text}, {self.calm} in the trial"

    def manifest(self, name: str, image: str) -> dict[str, Any]:
        """Returns the service."""
        spec = {
            "image": image,
            "app": "small_app:app",
            "server": {"probes": {"source": "Runtime"}},
            "resources": {"requests": {"cpu": "60m"}},
            "scaling": {"replicas": 1},
            "proxy": {"replicas": 1},
            "parts": {"proxy": {"resources": {"requests": {"cpu": "40m"}}}},
            "rollout": {
                "canary": {
                    "stepSeconds": self.step_seconds,
                    "minRequests": self.min_requests,
                    "maxWaitSeconds": self.max_wait_seconds,
                }
            },
            "env": [{"name": name, "value": value} for name, value in self.environment.items()],
        }
        return {
            "apiVersion": "fastapi-operator.io/v1alpha1",
            "kind": "FastAPIService",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {**spec, **self.spec},
        }


@dataclass
class Trial:
    """A trial of numbers.

    Attributes:
        began: When it was first seen, on the monotonic clock.
        ended: When its canary was gone.
        entry: Its entry in ``status.trials``.
    """

    began: float
    ended: float = math.inf
    entry: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Numbers:
    """The numbers of a service's app, and the state of its pods.

    Attributes:
        memory: The memory request and limit of the app's container.
        threads: The threads of each process.
        used_mebibytes: The largest resident memory of a worker that the operator has measured.
        restarts: The restarts of all containers of the service's present pods.
        generation: The generation of the spec.
    """

    memory: tuple[str, str]
    threads: int
    used_mebibytes: float
    restarts: int
    generation: int


def set_pace(platform: Platform, pace: int) -> None:
    """Sets the pace of measurements; the operator restarts with it."""
    subprocess.run(
        [
            *(platform.helm, "upgrade", "fastapi-operator", "charts/fastapi-operator"),
            *("--namespace", story.OPERATOR_NAMESPACE, "--reuse-values", "--wait"),
            *("--set", f"settings.measurementPace={pace}"),
        ],
        check=True,
        cwd=targets.ROOT,
        env=platform.kubectl.environment,
    )


class Tuned:
    """A service of a case under load, with the trials that were seen.

    Attributes:
        before: Its numbers at the beginning.
        after: Its numbers at the end.
        trials: Its trials.
    """

    before: Numbers
    after: Numbers

    def __init__(self, platform: Platform, case: Case) -> None:
        self.case = case
        self.bench = Bench(platform.kubectl, platform.image, case.name)
        self.trials: list[Trial] = []
        self._loads: list[Load] = []
        self._stack = contextlib.ExitStack()
        self._sending = contextlib.ExitStack()
        self._running: Trial | None = None
        self._state: Sequence[Any] = ()

    def __enter__(self) -> "Tuned":
        self._stack.callback(
            self.bench.kubectl, "delete", "namespace", self.case.name, "--wait=false"
        )
        self._applied = time.monotonic()
        self._create()
        eventually(
            self.bench.is_ready, seconds=READY_SECONDS, what=f"{self.case.name} Ready", pause=2
        )
        self.before = self._numbers()
        self.send(*self.case.streams)
        return self

    def __exit__(self, *error: Any) -> None:
        with self._stack:
            # The load ends before its service.
            self._sending.close()

    def _create(self) -> None:
        kubectl, where = self.bench.kubectl, ("-n", self.case.name)
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.case.name}}
        kubectl.apply(space, self.case.manifest(self.bench.name, self.bench.app_image))
        if self.case.accepted:
            uid = kubectl.json("get", "fas", self.bench.name, *where)["metadata"]["uid"]
            accepted = {
                name: Figure(value=value, seconds=_WEEK_SECONDS, count=1_000_000)
                for name, value in self.case.accepted.items()
            }
            record = TuningRecord(accepted=accepted)
            kubectl.apply(record.to_body(Owner(self.case.name, self.bench.name, uid)))

    def send(self, *streams: Stream) -> None:
        """Sends other requests from now on."""
        loads = [
            Load(
                self.bench.address,
                stream.requests(self.bench),
                rate=stream.rate,
                burst=stream.burst,
            )
            for stream in streams
        ]
        stack = contextlib.ExitStack()
        for load in loads:
            stack.enter_context(load)
        # The earlier ones end here.
        self._sending.close()
        self._sending = stack
        self._loads += loads

    def until_sent(self, requests: int, *, seconds: float) -> None:
        """Waits until so many requests have ended."""
        eventually(
            lambda: sum(len(load.answers) for load in self._loads) >= requests,
            seconds=seconds,
            what=f"{requests} requests of {self.case.name}",
            pause=1,
        )

    def follow(self, is_over: Callable[[], bool], *, seconds: float) -> None:
        """Watches the trials until a condition holds.

        Args:
            is_over: The condition.
            seconds: The longest time.
        """

        def look() -> bool:
            status, now = self.bench.get()["status"], time.monotonic()
            found = status.get("canary") or {}
            state = [found.get(name) for name in ("phase", "percent", "verdict")]
            if state != self._state:
                self._state = state
                print(f"{now - self._applied:6.0f} s  {self.case.name}: {json.dumps(state)}")
            if self._running is None and found.get("trial"):
                self._running = Trial(now)
                print(f"{now - self._applied:6.0f} s  {self.case.name}: {found['trial']}")
            elif self._running is not None and not found:
                (newest, *_) = status["trials"]
                self._running.ended, self._running.entry = now, newest
                self.trials.append(self._running)
                self._running = None
                print(f"{now - self._applied:6.0f} s  {self.case.name}: {json.dumps(newest)}")
            return self._running is None and is_over()

        eventually(look, seconds=seconds, what=f"trials of {self.case.name}", pause=1)

    def stay(self, seconds: float) -> None:
        """Continues the load, watches for further trials, and reads the numbers at the end."""
        end = time.monotonic() + seconds
        self.follow(lambda: time.monotonic() >= end, seconds=seconds + 600)
        self.after = self._numbers()

    @property
    def answers(self) -> list[Answer]:
        """All requests so far."""
        return [answer for load in self._loads for answer in list(load.answers)]

    @property
    def late_seconds(self) -> float:
        """The longest time by which a request was sent late."""
        return max(load.late_seconds for load in self._loads)

    @property
    def lost(self) -> list[tuple[float, str, str]]:
        """The requests that failed in trials and just after them: when, how, and in which pod."""
        return [
            (round(one.at - self._applied, 1), one.ending.outcome, one.ending.served_by)
            for one in self.answers
            if not one.answered
            and any(trial.began <= one.at < trial.ended + AROUND_SECONDS for trial in self.trials)
        ]

    def p99_milliseconds(self, since: float, until: float) -> float:
        """Returns the 99th percentile of all requests that were due in a period."""
        found = sorted(one.seconds for one in self.answers if since <= one.at < until)
        return 1000 * found[math.ceil(0.99 * len(found)) - 1]

    def lost_within(self, since: float, until: float) -> int:
        """Returns the failed requests that were due in a period."""
        return sum(not one.answered for one in self.answers if since <= one.at < until)

    def _numbers(self) -> Numbers:
        kubectl, where = self.bench.kubectl, ("-n", self.case.name)
        live = kubectl.json("get", "deployment", self.bench.name, *where)
        (app,) = (c for c in live["spec"]["template"]["spec"]["containers"] if c["name"] == "app")
        resources = app["resources"]
        variables = {item["name"]: item.get("value", "") for item in app["env"]}
        selector = f"fastapi-operator.io/service={self.bench.name}"
        pods = kubectl.json("get", "pods", "-l", selector, *where)["items"]
        return Numbers(
            memory=(resources["requests"]["memory"], resources["limits"]["memory"]),
            threads=int(variables["THREAD_TOKENS"]),
            used_mebibytes=self._used_bytes() / _MIB,
            restarts=sum(
                state["restartCount"]
                for pod in pods
                for state in pod["status"].get("containerStatuses", ())
            ),
            generation=self.bench.get()["metadata"]["generation"],
        )

    def _used_bytes(self) -> float:
        name, where = f"{self.bench.name}-measurements", ("-n", self.case.name)
        if not self.bench.kubectl.exists("configmap", name, *where):
            return 0.0
        live = self.bench.kubectl.json("get", "configmap", name, *where)
        figures = yaml.safe_load(live["data"]["measurements.yaml"])["figures"]
        return float(figures.get("workerMemoryBytes", {}).get("value", 0.0))

    def record(self) -> None:
        """Prints a row for each trial; with ``RECORD=1`` writes it into docs/benchmarks.md."""
        load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
        print(f"{self.case.name}: {self.before} -> {self.after}")
        print(f"  sent up to {self.late_seconds:.2f} s late; load {load}; lost {self.lost[:20]}")
        for trial in self.trials:
            entry = trial.entry
            periods = (
                (trial.began - AROUND_SECONDS, trial.began),
                (trial.began, trial.ended),
                (trial.ended, trial.ended + AROUND_SECONDS),
            )
            p99s = ", ".join(f"{self.p99_milliseconds(*period):.0f}" for period in periods)
            lost = ", ".join(f"{self.lost_within(*period)}" for period in periods)
            row = (
                self.case.name,
                entry["numbers"],
                entry["verdict"],
                self.case.load,
                entry["evidence"],
                f"{trial.ended - self._applied:.0f}",
                lost,
                p99s,
                entry["reason"],
            )
            print(f"| {' | '.join(row)} |", flush=True)
            rollouts.keep(SECTION, HEADINGS, row, named_by=3)
