"""Samples of one pod over a window: what its counters gained, where its gauges stood.

A window is made of several readings of the pod's own metrics page, or of what Prometheus has
stored of them; whoever asks sees no difference.
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

# What a scrape adds to a series: the same for all of a pod, and absent on its own page.
_SCRAPE_LABELS = frozenset({"namespace", "pod", "instance", "job", "endpoint"})


@dataclass(frozen=True)
class Scrape:
    """All series of a pod at one moment, in seconds of any clock."""

    at: float
    values: Mapping[Series, float]


@dataclass(frozen=True)
class Histogram:
    """What a histogram gained in a window.

    Attributes:
        buckets: Upper bound and observations up to it, in order.
        total: The sum of all observations.
        count: How many there were.
    """

    buckets: tuple[tuple[float, float], ...]
    total: float
    count: float

    @property
    def mean(self) -> float:
        """The mean observation; 0 where there is none."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """The bound of ``share`` of the observations, even within a bucket, as Prometheus does."""
        rank, below, bound = share * self.count, 0.0, 0.0
        for upper, observed in self.buckets:
            if observed >= rank and observed > below:
                # Nothing is known beyond the last bound.
                if math.isinf(upper):
                    return bound
                return bound + (upper - bound) * (rank - below) / (observed - below)
            below, bound = observed, upper
        return 0.0 if not self.count or math.isinf(bound) else bound

    def above(self, bound: float) -> float:
        """How many observations were above a bound, as far as the buckets tell."""
        within = (observed for upper, observed in self.buckets if upper <= bound)
        return self.count - max(within, default=0.0)

    def __add__(self, other: "Histogram") -> "Histogram":
        """Both together."""
        merged: dict[float, float] = defaultdict(float)
        for upper, observed in (*self.buckets, *other.buckets):
            merged[upper] += observed
        return Histogram(
            tuple(sorted(merged.items())), self.total + other.total, self.count + other.count
        )


NOTHING = Histogram((), 0.0, 0.0)


class Window:
    """What one pod showed between the first and the last of its scrapes."""

    def __init__(self, scrapes: Sequence[Scrape]) -> None:
        """Takes at least two scrapes, in any order.

        Raises:
            ValueError: There are fewer: nothing can be said of a counter.
        """
        if len(scrapes) < 2:
            raise ValueError("a window needs two scrapes")
        self._scrapes = sorted(scrapes, key=lambda scrape: scrape.at)
        self.seconds = self._scrapes[-1].at - self._scrapes[0].at
        self._series: dict[str, list[Labels]] = defaultdict(list)
        for name, labels in {series for scrape in scrapes for series in scrape.values}:
            self._series[name].append(labels)

    def has(self, name: str) -> bool:
        """Whether the pod shows this metric."""
        return name in self._series

    def steps(self, name: str, **wanted: str) -> list[float]:
        """What a counter gained in each step of the window, over all series with these labels."""
        gained = [self._gained((name, labels)) for labels in self._matching(name, wanted)]
        return [sum(step) for step in zip(*gained, strict=True)] or [0.0] * (len(self._scrapes) - 1)

    def increase(self, name: str, **wanted: str) -> float:
        """What a counter gained in the whole window."""
        return sum(self.steps(name, **wanted))

    def rate(self, name: str, **wanted: str) -> float:
        """What a counter gained each second."""
        return self.increase(name, **wanted) / self.seconds

    def mean(self, name: str, **wanted: str) -> float:
        """Where a gauge stood on average, summed over its series; 0 where there is none."""
        return statistics.fmean(self._levels(name, wanted))

    def peak(self, name: str, **wanted: str) -> float:
        """The highest that a gauge stood."""
        return max(self._levels(name, wanted))

    def histogram(self, name: str, **wanted: str) -> Histogram:
        """What a histogram gained, over all series with these labels."""
        buckets: dict[float, float] = defaultdict(float)
        for labels in self._matching(f"{name}_bucket", wanted):
            bound = float(dict(labels)["le"])
            buckets[bound] += sum(self._gained((f"{name}_bucket", labels)))
        return Histogram(
            tuple(sorted(buckets.items())),
            self.increase(f"{name}_sum", **wanted),
            self.increase(f"{name}_count", **wanted),
        )

    def values_of(self, name: str, label: str) -> frozenset[str]:
        """The values that a label takes in a metric."""
        return frozenset(dict(labels).get(label, "") for labels in self._series.get(name, ()))

    def _gained(self, series: Series) -> list[float]:
        values = [scrape.values.get(series) for scrape in self._scrapes]
        before, steps = values[0] or 0.0, []
        for value in values[1:]:
            now = before if value is None else value
            # A counter that falls was begun anew, by a process that was started again.
            steps.append(now - before if now >= before else now)
            before = now
        return steps

    def _levels(self, name: str, wanted: Mapping[str, str]) -> list[float]:
        matching = tuple(self._matching(name, wanted))
        return [
            sum(scrape.values.get((name, labels), 0.0) for labels in matching)
            for scrape in self._scrapes
        ]

    def _matching(self, name: str, wanted: Mapping[str, str]) -> Iterator[Labels]:
        return (labels for labels in self._series.get(name, ()) if wanted.items() <= labels)


def read_page(text: str, at: float, names: Iterable[str]) -> Scrape:
    """A pod's metrics page; only metrics whose name begins with one of ``names`` are read.

    Raises:
        ValueError: It is no metrics page.
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
    """What Prometheus answered to a range query, by pod."""
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
