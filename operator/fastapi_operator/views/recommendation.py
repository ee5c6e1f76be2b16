"""The recommendations of a measurement: numbers, evidence and effects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastapi_operator import quantity
from fastapi_operator.api.compute import Traffic
from fastapi_operator.api.service import FastAPIService, Spec
from fastapi_operator.facts import Facts
from fastapi_operator.resources.footprint import Range, footprints
from fastapi_operator.settings import Settings
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.automatic import is_automatic
from fastapi_operator.tuning.decision import Decision, Source
from fastapi_operator.tuning.derive import derive, derive_accepted
from fastapi_operator.tuning.explain import Change, changes
from fastapi_operator.tuning.measurements import NEEDS, NOT_MEASURED, Measurements, alias_of
from fastapi_operator.tuning.plan import Plan


class _Latency(NamedTuple):
    """The effect of more and of less of a number on response times."""

    more: str
    less: str


# Sentences may name figures of the measurement.
_LATENCY: Mapping[str, _Latency] = {
    "server.workers": _Latency(
        "shorter under load: more event loops share it",
        "none expected; the pod stays below its memory limit",
    ),
    "server.concurrency": _Latency(
        "none below the limit; a burst is rejected with 503 later",
        "a burst is rejected with 503 sooner, and waits less",
    ),
    "server.threads": _Latency(
        "shorter: {threads} calls wait for a thread now",
        "none expected: fewer threads still carry the load and compete less for the interpreter",
    ),
    "compute.cpu_request_millicores": _Latency(
        "none; the node reserves more CPU",
        "none while the node has idle CPU; on a full node the pod gets less",
    ),
    "compute.memory_limit_bytes": _Latency(
        "none; the pod is further from an OOM kill",
        "none; a fifth for growth and a fifth of the limit stay free",
    ),
    "scaling.max_replicas": _Latency(
        "shorter at the peak, if the autoscaler needs the pods", "none expected"
    ),
    "pool.size": _Latency(
        "shorter: a checkout waits {pool} ms now",
        "none expected: fewer connections carry the load",
    ),
}


@dataclass(frozen=True)
class Recommendation:
    """A number that a measurement changes.

    Attributes:
        now: The decision without the measurement.
        better: The decision with it.
        evidence: The figures from which it follows, each with its window.
        latency: The expected effect on response times.
        cpu_millicores: The CPU that the service requests less with the fewest pods.
        memory_bytes: The memory that it requests less with the fewest pods.
    """

    now: Decision[Any]
    better: Decision[Any]
    evidence: tuple[str, ...]
    latency: str
    cpu_millicores: int = 0
    memory_bytes: int = 0

    def record(self) -> dict[str, Any]:
        """Returns it in the form of ``recommend -o json``."""
        return {
            "number": self.better.name,
            "now": self.now.value,
            "better": self.better.value,
            "unit": self.better.unit,
            "reason": self.better.reason,
            "evidence": list(self.evidence),
            "effect": {
                "latency": self.latency,
                "cpuMillicores": -self.cpu_millicores,
                "memoryBytes": -self.memory_bytes,
            },
            "disruption": self.better.disruption.value,
        }


@dataclass(frozen=True)
class Advice:
    """All that a measurement recommends for a service.

    Attributes:
        service: The service.
        now: The plan without the measurement.
        better: The plan with it.
        sizes: The footprints of both.
        recommendations: The numbers that differ by enough.
        unused: Why figures were not used.
        contradictions: The facts of ``spec.traffic`` that a measurement contradicts.
    """

    service: FastAPIService
    now: Plan
    better: Plan
    sizes: tuple[Range, Range]
    recommendations: tuple[Recommendation, ...]
    unused: tuple[str, ...]
    contradictions: tuple[str, ...] = ()

    @property
    def followers(self) -> tuple[Change, ...]:
        """The numbers that change with the recommended ones."""
        names = {item.better.name for item in self.recommendations}
        return tuple(
            change for change in changes(self.now, self.better) if change.decision.name not in names
        )

    @property
    def cpu_millicores(self) -> int:
        """The CPU to win with the fewest pods; negative if more is needed."""
        before, after = self.sizes
        return before.least.cpu_millicores - after.least.cpu_millicores

    @property
    def memory_bytes(self) -> int:
        """The memory to win with the fewest pods; negative if more is needed."""
        before, after = self.sizes
        return before.least.memory_bytes - after.least.memory_bytes

    def record(self) -> dict[str, Any]:
        """Returns it in the form of ``recommend -o json``."""
        return {
            "service": self.service.metadata.name,
            "namespace": self.service.metadata.namespace,
            "recommendations": [item.record() for item in self.recommendations],
            "followers": [
                {
                    "number": change.decision.name,
                    "now": change.before.value if change.before else None,
                    "then": change.after.value if change.after else None,
                }
                for change in self.followers
            ],
            "toWin": {"cpuMillicores": self.cpu_millicores, "memoryBytes": self.memory_bytes},
            "notUsed": list(self.unused),
            "contradictions": list(self.contradictions),
        }


def advise(
    service: FastAPIService,
    settings: Settings,
    facts: Facts,
    measurements: Measurements,
    accepted: Measurements = NOT_MEASURED,
) -> Advice:
    """Derives the service with and without a measurement, and returns its recommendations.

    Args:
        service: The service.
        settings: The settings of the operator.
        facts: The facts about the cluster.
        measurements: The measurement.
        accepted: The figures with which the service runs now, if its mode is Automatic.
    """
    now = derive_accepted(service, settings, facts, accepted)
    found = measurements
    if accepted is not NOT_MEASURED and is_automatic(now.spec):
        found = Measurements.accepted({**accepted.rounded(), **measurements.rounded()})
    better = derive(service, settings, facts, found)
    pods = now.scaling.min_replicas.value
    return Advice(
        service=service,
        now=now,
        better=better,
        sizes=(
            footprints(service, now, settings, facts),
            footprints(service, better, settings, facts),
        ),
        recommendations=tuple(
            Recommendation(
                now=before,
                better=after,
                evidence=_evidence(after, found),
                latency=_latency(before, after, measurements),
                cpu_millicores=_less(before, after, "compute.cpu_request_millicores") * pods,
                memory_bytes=_less(before, after, "compute.memory_limit_bytes") * pods
                if now.compute.memory_request_bytes.source in (Source.DERIVED, Source.TUNED)
                else 0,
            )
            for before, after in _worth_it(now, better)
        ),
        unused=tuple(measurements.unused()),
        contradictions=tuple(_contradictions(now.spec, measurements)),
    )


def _contradictions(spec: Spec, measurements: Measurements) -> Iterator[str]:
    """Yields the facts of ``spec.traffic`` that are wrong: numbers follow them all the same."""
    traffic = spec.traffic or Traffic()
    for name, figure in measurements.rounded().items():
        declared = getattr(traffic, name, None)
        # A peak is a forecast. All other facts are whole milliseconds of a request.
        if not declared or name == "peak_requests_per_second":
            continue
        if abs(declared - figure.value) > max(1, figures.CONTRADICTED * figure.value):
            found = figure.describe(NEEDS[name].unit)
            yield (
                f"spec.traffic.{alias_of(name)} is {declared}, and {found} was measured; numbers "
                "follow the spec: correct the field, or remove it"
            )


def _worth_it(now: Plan, better: Plan) -> Iterator[tuple[Decision[Any], Decision[Any]]]:
    for before, after in changes(now, better):
        if before is None or after is None or after.source is not Source.TUNED:
            continue
        if abs(after.value - before.value) >= figures.GAIN_MIN * before.value:
            yield before, after


def _evidence(decision: Decision[Any], measurements: Measurements) -> tuple[str, ...]:
    usable = measurements.usable()
    return tuple(
        f"{alias_of(name)} {usable[name].describe(NEEDS[name].unit)}" for name in decision.figures
    )


def _latency(before: Decision[Any], after: Decision[Any], measurements: Measurements) -> str:
    effect = _LATENCY[after.name]
    text = effect.more if after.value > before.value else effect.less
    return text.format(
        threads=f"{measurements.threads_waiting or 0:.2g}",
        pool=f"{measurements.pool_wait_milliseconds or 0:.2g}",
    )


def _less(before: Decision[Any], after: Decision[Any], name: str) -> int:
    return int(before.value - after.value) if after.name == name else 0


def display_gain(cpu_millicores: int, memory_bytes: int) -> str:
    """Returns the resources that a change wins or costs, for people."""
    parts = []
    if cpu_millicores:
        parts.append(f"{-cpu_millicores / 1000:+g} CPU")
    if memory_bytes:
        sign = "-" if memory_bytes > 0 else "+"
        parts.append(f"{sign}{quantity.format_bytes(abs(memory_bytes))}")
    return ", ".join(parts) or "none"
