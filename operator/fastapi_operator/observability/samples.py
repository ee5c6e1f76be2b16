"""Samples of one pod over a window: increases of counters, values of gauges.

A window consists of several scrapes of the pod's own metrics page, or of the samples that
Prometheus has stored. Both have the same form.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Series = tuple[str, Labels]

# Labels that a scrape adds: the same for all series of a pod, and absent on its own page.
_SCRAPE_LABELS = frozenset({"namespace", "pod", "instance", "job", "endpoint"})


@dataclass(frozen=True)
class Scrape:
    """All series of a pod at one time, in seconds of any clock."""

    at: float
    values: Mapping[Series, float]


@dataclass(frozen=True)
class Histogram:
    """The increase of a histogram in a window.

    Attributes:
        buckets: Upper bounds and the observations up to each, in order.
        total: The sum of all observations.
        count: The number of observations.
    """

    buckets: tuple[tuple[float, float], ...]
    total: float
    count: float

    @property
    def mean(self) -> float:
        """The mean observation; 0 if there is none."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """A quantile, interpolated linearly within a bucket as in Prometheus."""
        rank, below, bound = share * self.count, 0.0, 0.0
        for upper, observed in self.buckets:
            if observed >= rank and observed > below:
                # There is no upper bound for interpolation.
                if math.isinf(upper):
                    return bound
                return bound + (upper - bound) * (rank - below) / (observed - below)
            below, bound = observed, upper
        return 0.0 if not self.count or math.isinf(bound) else bound

    def above(self, bound: float) -> float:
        """The observations above a bound, as far as the buckets resolve it."""
        within = (observed for upper, observed in self.buckets if upper <= bound)
        return self.count - max(within, default=0.0)

    def __add__(self, other: "Histogram") -> "Histogram":
        """Merges two histograms."""
        merged: dict[float, float] = defaultdict(float)
        for upper, observed in (*self.buckets, *other.buckets):
            merged[upper] += observed
        return Histogram(
            tuple(sorted(merged.items())), self.total + other.total, self.count + other.count
        )


NOTHING = Histogram((), 0.0, 0.0)


class Window:
    """The samples of one pod between its first and its last scrape."""

    def __init__(self, scrapes: Sequence[Scrape]) -> None:
        """Takes at least two scrapes, in any order.

        Raises:
            ValueError: There are fewer, so that a counter has no increase.
        """
        if len(scrapes) < 2:
            raise ValueError("a window needs at least two scrapes")
        self._scrapes = sorted(scrapes, key=lambda scrape: scrape.at)
        self.seconds = self._scrapes[-1].at - self._scrapes[0].at
        self._series: dict[str, list[Labels]] = defaultdict(list)
        for name, labels in {series for scrape in scrapes for series in scrape.values}:
            self._series[name].append(labels)

    @property
    def times(self) -> tuple[float, ...]:
        """The times of the scrapes, in order."""
        return tuple(scrape.at for scrape in self._scrapes)

    def has(self, name: str) -> bool:
        """Whether the pod exposes this metric."""
        return name in self._series

    def steps(self, name: str, **wanted: str) -> list[float]:
        """The increase of a counter in each step, over all series with these labels."""
        gained = [self._gained((name, labels)) for labels in self._matching(name, wanted)]
        return [sum(step) for step in zip(*gained, strict=True)] or [0.0] * (len(self._scrapes) - 1)

    def increase(self, name: str, **wanted: str) -> float:
        """The increase of a counter in the whole window."""
        return sum(self.steps(name, **wanted))

    def rate(self, name: str, **wanted: str) -> float:
        """The increase of a counter per second."""
        return self.increase(name, **wanted) / self.seconds

    def mean(self, name: str, **wanted: str) -> float:
        """The mean of a gauge, summed over its series; 0 if there is none."""
        return statistics.fmean(self.levels(name, **wanted))

    def peak(self, name: str, **wanted: str) -> float:
        """The maximum of a gauge, summed over its series."""
        return max(self.levels(name, **wanted))

    def histogram(self, name: str, **wanted: str) -> Histogram:
        """The increase of a histogram, over all series with these labels."""
        return sum(self.histograms(name, **wanted), NOTHING)

    def histograms(self, name: str, **wanted: str) -> list[Histogram]:
        """The increase of a histogram in each step, over all series with these labels."""
        buckets: dict[float, list[float]] = {}
        for labels in self._matching(f"{name}_bucket", wanted):
            bound = float(dict(labels)["le"])
            gained = self._gained((f"{name}_bucket", labels))
            before = buckets.get(bound, [0.0] * len(gained))
            buckets[bound] = [old + new for old, new in zip(before, gained, strict=True)]
        totals, counts = self.steps(f"{name}_sum", **wanted), self.steps(f"{name}_count", **wanted)
        return [
            Histogram(
                tuple((bound, buckets[bound][step]) for bound in sorted(buckets)), total, count
            )
            for step, (total, count) in enumerate(zip(totals, counts, strict=True))
        ]

    def levels(self, name: str, **wanted: str) -> list[float]:
        """The values of a gauge at each scrape, summed over its series; 0 if there is none."""
        matching = tuple(self._matching(name, wanted))
        return [
            sum(scrape.values.get((name, labels), 0.0) for labels in matching)
            for scrape in self._scrapes
        ]

    def values_of(self, name: str, label: str) -> frozenset[str]:
        """The values that a label takes in a metric."""
        return frozenset(dict(labels).get(label, "") for labels in self._series.get(name, ()))

    def _gained(self, series: Series) -> list[float]:
        values = [scrape.values.get(series) for scrape in self._scrapes]
        before, steps = values[0] or 0.0, []
        for value in values[1:]:
            now = before if value is None else value
            # If a counter decreases, its process restarted and it started again at zero.
            steps.append(now - before if now >= before else now)
            before = now
        return steps

    def _matching(self, name: str, wanted: Mapping[str, str]) -> Iterator[Labels]:
        return (labels for labels in self._series.get(name, ()) if wanted.items() <= labels)


def read_page(text: str, at: float, names: Iterable[str]) -> Scrape:
    """Parses a pod's metrics page.

    Args:
        text: The page.
        at: The time of the scrape, in seconds.
        names: The prefixes of the metrics to parse; others are skipped.

    Raises:
        ValueError: The text is not a metrics page.
    """
    wanted = tuple(names)
    lines = [line for line in text.splitlines() if line.startswith(wanted)]
    values = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families("\n".join(lines) + "\n")
        for sample in family.samples
    }
    return Scrape(at, values)


def read_matrix(result: Iterable[Mapping[str, Any]]) -> dict[str, list[Scrape]]:
    """Converts the result of a range query of Prometheus to scrapes, by pod."""
    found: dict[str, dict[float, dict[Series, float]]] = defaultdict(lambda: defaultdict(dict))
    for series in result:
        labels = series["metric"]
        own = frozenset(
            item
            for item in labels.items()
            if item[0] not in _SCRAPE_LABELS and item[0] != "__name__"
        )
        for at, value in series["values"]:
            found[labels.get("pod", "")][float(at)][labels["__name__"], own] = float(value)
    return {
        pod: [Scrape(at, values) for at, values in sorted(scrapes.items())]
        for pod, scrapes in found.items()
    }
