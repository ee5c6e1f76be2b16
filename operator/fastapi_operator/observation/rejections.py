"""Requests that pods rejected between two looks: proxies themselves, or processes of the app."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from fastapi_operator.observability import bounds
from fastapi_operator.observation import reading
from fastapi_operator.observation.hours import GAP_SECONDS_MAX
from fastapi_operator.observation.reading import Reading, Source, plausible

_PROXIED = "fastapi_proxy_request_duration_seconds_count"
_BY_PROXY = "fastapi_proxy_shed_total"
# A client that exceeds its rate does not show that the service is overloaded.
_RATE = 'reason="rate"'
# The metrics to read from the page of a proxy pod.
NAMES: Collection[str] = (_PROXIED, _BY_PROXY)


@dataclass(frozen=True, slots=True)
class Counts:
    """The requests of a pod since its start.

    Attributes:
        source: The pod.
        at: When it was read, in seconds since 1970.
        requests: All requests.
        rejected: Those that it rejected with 503.
    """

    source: Source
    at: float
    requests: float
    rejected: float


@dataclass(frozen=True, slots=True)
class Rejections:
    """The requests of some pods between two looks.

    Attributes:
        until: The time of the second look, in seconds since 1970.
        seconds: The time between the looks.
        pods: The pods.
        requests: All requests.
        rejected: Those that were rejected with 503.
    """

    until: float
    seconds: float
    pods: int
    requests: float
    rejected: float

    @property
    def share(self) -> float:
        """The part of the requests that was rejected."""
        return self.rejected / self.requests if self.requests else 0.0

    @property
    def many(self) -> bool:
        """Whether the service is overloaded, by the bound of the alert."""
        return self.share > bounds.SHED


@dataclass(frozen=True, slots=True)
class Overload:
    """Who rejects requests of a service: the newest counts, not older than 15 minutes.

    Attributes:
        proxy: Those of its proxy pods; None if they are not known.
        processes: Those of a pod of the app; None if they are not known.
    """

    proxy: Rejections | None = None
    processes: Rejections | None = None

    @property
    def known(self) -> tuple[Rejections, ...]:
        """The counts that are known."""
        return tuple(found for found in (self.proxy, self.processes) if found is not None)

    @property
    def state(self) -> str:
        """Whether requests are rejected, as the status of a condition."""
        if not self.known:
            return "Unknown"
        return "True" if any(found.many for found in self.known) else "False"

    def at(self, now: float) -> "Overload":
        """Returns it without counts that are too old."""
        return Overload(_fresh(self.proxy, now), _fresh(self.processes, now))


def _fresh(found: Rejections | None, now: float) -> Rejections | None:
    return found if found is not None and now - found.until <= GAP_SECONDS_MAX else None


def of_process(found: Reading) -> Counts:
    """Returns the counts of a pod of the app."""
    return Counts(found.source, found.at, found.get(reading.REQUESTS), found.get(reading.SHED))


def of_proxy(text: str, source: Source, at: float) -> Counts | None:
    """Returns the counts of a page of nginx's exporter; None if it has none.

    Caddy does not count what it rejects, and its page has other metrics.
    """
    requests = rejected = 0.0
    is_counted = False
    for line in text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name == _PROXIED:
            requests += plausible(line.rpartition(" ")[2])
            is_counted = True
        elif name == _BY_PROXY and _RATE not in line:
            rejected += plausible(line.rpartition(" ")[2])
    return Counts(source, at, requests, rejected) if is_counted else None


def between(before: Counts, after: Counts) -> Rejections | None:
    """Returns the requests between two looks at a pod.

    Returns:
        None if the pod or its containers were replaced, or if a look between them is missing.
    """
    seconds = after.at - before.at
    requests, rejected = after.requests - before.requests, after.rejected - before.rejected
    one, two = before.source, after.source
    is_same = (one.pod, one.restarts) == (two.pod, two.restarts)
    if not is_same or not 0 < seconds <= GAP_SECONDS_MAX or min(requests, rejected) < 0:
        return None
    return Rejections(after.at, seconds, 1, requests, rejected)


def total(found: Iterable[Rejections | None]) -> Rejections | None:
    """Returns the sum over the pods that are known; None without any."""
    items = tuple(item for item in found if item is not None)
    if not items:
        return None
    return Rejections(
        until=min(item.until for item in items),
        seconds=max(item.seconds for item in items),
        pods=sum(item.pods for item in items),
        requests=sum(item.requests for item in items),
        rejected=sum(item.rejected for item in items),
    )
