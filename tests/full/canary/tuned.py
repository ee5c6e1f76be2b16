"""Services on a node whose numbers are wrong, and the trials that correct them, under load.

Measurements, trials and verdicts are those of the operator in its pod. Only the periods of
measurements pass faster: a week in seven minutes. The times of canaries are real.
"""

import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.demo import story, targets
from tests.full.canary import rollouts
from tests.full.canary.conftest import Platform
from tests.full.canary.course import READY_SECONDS
from tests.kubectl import eventually
from tests.resilience.client import Request
from tests.resilience.load import Answer, Load
from tests.resilience.scenarios import Bench

PACE = 1440
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
# Before and after a trial, in its row.
_AROUND_SECONDS = 30


@dataclass(frozen=True)
class Case:
    """A service that begins with wrong numbers.

    Attributes:
        name: Its row, and its namespace.
        rate: Requests per second.
        path: The path of the requests.
        spec: Further fields of its spec.
    """

    name: str
    rate: float
    path: str = "/items"
    spec: Mapping[str, Any] = field(default_factory=dict)


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
    """A service of a case under load, with the trials that were seen."""

    def __init__(self, platform: Platform, case: Case) -> None:
        self.case = case
        self.bench = Bench(platform.kubectl, platform.image, case.name)
        self.trials: list[Trial] = []
        self._running: Trial | None = None
        self._applied = time.monotonic()
        spec = {
            "image": platform.image,
            "app": "small_app:app",
            "server": {"probes": {"source": "Runtime"}},
            "resources": {"requests": {"cpu": "60m"}},
            "scaling": {"replicas": 1},
            "proxy": {"replicas": 1},
            "parts": {"proxy": {"resources": {"requests": {"cpu": "40m"}}}},
            "rollout": {"canary": {"stepSeconds": 30, "minRequests": 200, "maxWaitSeconds": 300}},
            "tuning": {"mode": "Automatic"},
        }
        body = {
            "apiVersion": "fastapi-operator.io/v1alpha1",
            "kind": "FastAPIService",
            "metadata": {"name": self.bench.name, "namespace": case.name},
            "spec": {**spec, **case.spec},
        }
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": case.name}}
        platform.kubectl.apply(space, body)
        eventually(self.bench.is_ready, seconds=READY_SECONDS, what=f"{case.name} Ready", pause=2)
        self.generation = self.bench.get()["metadata"]["generation"]

    def __enter__(self) -> "Tuned":
        self.load = Load(self.bench.address, self._requests(), rate=self.case.rate)
        self.load.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.load.__exit__(*error)
        self.bench.kubectl("delete", "namespace", self.case.name, "--wait=false")

    def _requests(self) -> Iterator[Request]:
        while True:
            yield Request("items", "GET", self.case.path)

    def follow(
        self,
        is_over: Callable[[], bool],
        *,
        seconds: float,
    ) -> None:
        """Watches the trials until a condition holds.

        Args:
            is_over: The condition.
            seconds: The longest time.
        """

        def look() -> bool:
            status, now = self.bench.get()["status"], time.monotonic()
            found = status.get("canary") or {}
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

        eventually(look, seconds=seconds, what=f"trials of {self.case.name}", pause=2)

    def stay(self, seconds: float) -> None:
        """Continues the load, and watches for further trials."""
        end = time.monotonic() + seconds
        self.follow(lambda: time.monotonic() >= end, seconds=seconds + 600)

    @property
    def answers(self) -> list[Answer]:
        """All requests so far."""
        return list(self.load.answers)

    @property
    def lost(self) -> list[tuple[float, Any]]:
        """The failed requests, with their time since the apply."""
        return [
            (round(one.at - self._applied, 1), one.ending)
            for one in self.answers
            if not one.answered
        ]

    def p99_milliseconds(self, since: float, until: float) -> float:
        """Returns the 99th percentile of all requests that were due in a period."""
        found = sorted(one.seconds for one in self.answers if since <= one.at < until)
        return 1000 * found[math.ceil(0.99 * len(found)) - 1]

    def lost_within(self, since: float, until: float) -> int:
        """Returns the failed requests that were due in a period."""
        return sum(not one.answered for one in self.answers if since <= one.at < until)

    def container(self) -> dict[str, Any]:
        """Returns the app's container in the Deployment."""
        live = self.bench.kubectl.json("get", "deployment", "shop", "-n", self.case.name)
        (app,) = (c for c in live["spec"]["template"]["spec"]["containers"] if c["name"] == "app")
        found: dict[str, Any] = app
        return found

    @property
    def memory(self) -> tuple[str, str]:
        """The memory request and limit of the app's container."""
        resources = self.container()["resources"]
        return resources["requests"]["memory"], resources["limits"]["memory"]

    @property
    def used_mebibytes(self) -> float:
        """The largest resident memory of a worker that the operator has measured."""
        name = f"{self.bench.name}-measurements"
        live = self.bench.kubectl.json("get", "configmap", name, "-n", self.case.name)
        figures = yaml.safe_load(live["data"]["measurements.yaml"])["figures"]
        return float(figures["workerMemoryBytes"]["value"]) / _MIB

    @property
    def restarts(self) -> int:
        """The restarts of all containers of the app's present pods."""
        selector = f"fastapi-operator.io/service={self.bench.name}"
        listed = self.bench.kubectl.json("get", "pods", "-n", self.case.name, "-l", selector)
        return sum(
            state["restartCount"]
            for pod in listed["items"]
            for state in pod["status"].get("containerStatuses", ())
        )

    def record(self) -> None:
        """Prints a row for each trial; with ``RECORD=1`` writes it into docs/benchmarks.md."""
        for trial in self.trials:
            entry = trial.entry
            periods = (
                (trial.began - _AROUND_SECONDS, trial.began),
                (trial.began, trial.ended),
                (trial.ended, trial.ended + _AROUND_SECONDS),
            )
            p99s = ", ".join(f"{self.p99_milliseconds(*period):.0f}" for period in periods)
            lost = ", ".join(f"{self.lost_within(*period)}" for period in periods)
            row = (
                self.case.name,
                entry["numbers"],
                entry["verdict"],
                f"{self.case.rate:g}",
                entry["evidence"],
                f"{trial.ended - self._applied:.0f}",
                lost,
                p99s,
                entry["reason"],
            )
            print(f"| {' | '.join(row)} |", flush=True)
            rollouts.keep(SECTION, HEADINGS, row, named_by=3)
