"""The ledger of one canary: the counts of all looks, small enough for a ConfigMap.

Each look adds the increments since the one before, because shares and rates change in between.
The ledger is a value: who stores it with a precondition loses and repeats no look.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from fastapi_operator.judge.counts import BOUNDS_SECONDS, Versions
from fastapi_operator.judge.pods import MAX_PODS, PodReading, Pods
from fastapi_operator.judge.sequential import Comparison, Costs, costs
from fastapi_operator.tuning.figures import REQUEST_BUCKETS_MILLISECONDS

# The ratio of shares of errors that is tolerated: one version has other clients than the other.
ERROR_MARGIN = 1.5
# The canary's share above a bound is compared with the stable share above the one before: requests
# may take a quarter longer, because the canary's pods are younger and on other nodes. That is all
# that is tolerated.
SLOW_MARGIN = 1.0
PAIRS = tuple(zip(range(1, len(BOUNDS_SECONDS)), range(len(BOUNDS_SECONDS) - 1), strict=True))
# The same if the app's pods count: between two bounds of their histogram, a request of the canary
# counts as fast as it can have been, and one of the stable version as slow.
_KNOWN = tuple(
    index
    for index, bound in enumerate(BOUNDS_SECONDS)
    if round(1000 * bound) in REQUEST_BUCKETS_MILLISECONDS
)
KNOWN_PAIRS = tuple(
    (
        next((index for index in _KNOWN if index >= own), _KNOWN[-1]),
        next((index for index in reversed(_KNOWN) if index <= other), None),
    )
    for own, other in PAIRS
)
# The most proxy pods to read in one look, always the same: a part of the requests is enough.
MAX_PROXIES = 12
# Some pods may be gone.
_GONE_KEPT = 4
# The counters of an app pod are not by step.
_SINCE_START = 0

# An index of a bound for the canary, and one for the stable version; None counts each request.
Pair = tuple[int, int | None]
# The counters of one proxy pod, by step.
ProxyReading = Mapping[int, Versions]


@dataclass(frozen=True)
class Ledger:
    """The state of the judge.

    Attributes:
        canary: The identity of the canary, as in the label of the metrics.
        number: The present step.
        step: The counts of this step.
        total: The counts of all steps.
        timed: The same without the looks while pods of the canary were warming.
        proxies: The last counters of each pod that counts: of the proxy, or of the app.
        waiting: The counts that wait for requests of the other version, to be compared with them.
        waiting_timed: The same without the looks while pods of the canary were warming.
        errors: The comparison of errors.
        slow: For each bound but the last, the comparison of slow requests.
        pods: The windows of both versions' pods.
    """

    canary: str
    number: int = 0
    step: Versions = field(default_factory=Versions)
    total: Versions = field(default_factory=Versions)
    timed: Versions = field(default_factory=Versions)
    proxies: Mapping[str, ProxyReading] = field(default_factory=dict)
    waiting: Versions = field(default_factory=Versions)
    waiting_timed: Versions = field(default_factory=Versions)
    errors: Comparison = field(default_factory=Comparison)
    slow: tuple[Comparison, ...] = (Comparison(),) * len(PAIRS)
    pods: Pods = field(default_factory=Pods)

    @classmethod
    def new(cls, canary: str) -> Self:
        """Returns the ledger of a canary before its first look."""
        return cls(canary)

    def record(
        self,
        *,
        at: float,
        step: int,
        pods: Mapping[str, PodReading],
        proxies: Mapping[str, ProxyReading] | None = None,
        apps: Mapping[str, Versions] | None = None,
        warming: bool = False,
        memory_limit_bytes: float | None = None,
    ) -> "Ledger":
        """Adds a look.

        Args:
            at: The time, in seconds.
            step: The present step, as in the label of the metrics.
            pods: The figures of the app's pods of both versions that were read, by pod.
            proxies: The counters of the proxy pods that were read, by pod.
            apps: If the proxy does not count versions: the counters of the app's pods since their
                start, by pod. Those of a pod that is new here are only its beginning.
            warming: Whether the canary has just started or grown: errors count, durations do not.
            memory_limit_bytes: The memory limit of a pod of the app; None if it has none.
        """
        ledger = self if step == self.number else replace(self, number=step, step=Versions())
        read: dict[str, ProxyReading] = {}
        for name, reading in (proxies or {}).items():
            # A proxy that has not yet loaded the present step still counts for the one before.
            number = step if step in reading else step - 1
            if number in reading:
                before = self.proxies.get(name, {}).get(number, Versions())
                ledger = ledger._counted(number, reading[number].since(before), warming)
                read[name] = {number: reading[number]}
        gained = Versions()
        for name, total in (apps or {}).items():
            known = self.proxies.get(name, {}).get(_SINCE_START)
            gained += total.since(known if known is not None else total)
            read[name] = {_SINCE_START: total}
        # Before the first step, the canary has no requests to compare.
        if apps and step:
            ledger = ledger._counted(step, gained, warming, KNOWN_PAIRS)
        # A pod that could not be read this time continues from its last counters.
        unread = {name: reading for name, reading in self.proxies.items() if name not in read}
        most = (MAX_PROXIES if apps is None else 2 * MAX_PODS) + _GONE_KEPT
        kept = [*unread.items(), *read.items()][-most:]
        return replace(
            ledger,
            proxies=dict(kept),
            pods=self.pods.record(at, pods, memory_limit_bytes=memory_limit_bytes),
        )

    def _counted(
        self, step: int, gained: Versions, warming: bool, pairs: Iterable[Pair] = PAIRS
    ) -> "Ledger":
        errors, slow = self.errors, self.slow
        # Events of one version have nothing to be compared with until the other has requests too.
        waiting, timed = self.waiting + gained, self.waiting_timed
        if waiting.both:
            cost = _costs(waiting, ERROR_MARGIN)
            errors = errors.add(
                events=waiting.canary.errors, stable_events=waiting.stable.errors, costs=cost
            )
            waiting = Versions()
        if not warming:
            timed += gained
        if timed.both:
            cost = _costs(timed, SLOW_MARGIN)
            slow = tuple(
                comparison.add(
                    events=timed.canary.slower[own],
                    stable_events=timed.stable.requests
                    if other is None
                    else timed.stable.slower[other],
                    costs=cost,
                )
                for comparison, (own, other) in zip(slow, pairs, strict=True)
            )
            timed = Versions()
        return replace(
            self,
            step=self.step + gained if step == self.number else self.step,
            total=self.total + gained,
            timed=self.timed if warming else self.timed + gained,
            waiting=waiting,
            waiting_timed=timed,
            errors=errors,
            slow=slow,
        )

    def dump(self) -> dict[str, Any]:
        """Returns the ledger in a form for JSON."""
        return {
            "canary": self.canary,
            "number": self.number,
            "step": self.step.dump(),
            "total": self.total.dump(),
            "timed": self.timed.dump(),
            "proxies": {
                name: {str(number): counts.dump() for number, counts in reading.items()}
                for name, reading in self.proxies.items()
            },
            "waiting": self.waiting.dump(),
            "waitingTimed": self.waiting_timed.dump(),
            "errors": self.errors.dump(),
            "slow": [comparison.dump() for comparison in self.slow],
            "pods": self.pods.dump(),
        }

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Parses a dump.

        Raises:
            ValueError: It has another form: of another version of the operator, or of a person.
        """
        try:
            return cls._parsed(data)
        except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
            raise ValueError(f"not a ledger: {error}") from error

    @classmethod
    def _parsed(cls, data: Mapping[str, Any]) -> Self:
        slow = tuple(Comparison.parse(numbers) for numbers in data["slow"])
        if len(slow) != len(PAIRS) or not isinstance(data["canary"], str):
            raise ValueError(f"not the comparisons of {len(PAIRS)} bounds of a canary")
        return cls(
            canary=data["canary"],
            number=int(data["number"]),
            step=Versions.parse(data["step"]),
            total=Versions.parse(data["total"]),
            timed=Versions.parse(data["timed"]),
            proxies={
                name: {int(number): Versions.parse(counts) for number, counts in reading.items()}
                for name, reading in data["proxies"].items()
            },
            waiting=Versions.parse(data["waiting"]),
            waiting_timed=Versions.parse(data["waitingTimed"]),
            errors=Comparison.parse(data["errors"]),
            slow=slow,
            pods=Pods.parse(data["pods"]),
        )


def _costs(versions: Versions, margin: float) -> Costs:
    return costs(
        requests=versions.canary.requests, stable_requests=versions.stable.requests, margin=margin
    )
