"""Measurements of a running service: the input of ``derive`` that replaces judgement.

A figure replaces a constant only if there is enough data for it and it is plausible. A field
of the spec or its profile is never replaced.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Self

from pydantic import Field

from fastapi_operator import quantity
from fastapi_operator.api.model import Model
from fastapi_operator.tuning import figures

_HOUR, _DAY = 3600, 86_400


class Figure(Model):
    """One measured value, and from how much it was measured."""

    value: float = Field(ge=0, allow_inf_nan=False, description="The value.")
    seconds: float = Field(
        ge=0, allow_inf_nan=False, description="Length of the observation, in seconds."
    )
    count: int = Field(ge=0, description="Requests in the observation.")

    def describe(self, unit: str) -> str:
        """Returns the value with its unit and its evidence."""
        return f"{shown(self.value, unit)} ({self.evidence})"

    @property
    def evidence(self) -> str:
        """From how much the value was measured, in words."""
        return f"{self.count:,} requests in {duration(self.seconds)}"


class Need(NamedTuple):
    """The conditions under which a figure replaces a constant.

    Attributes:
        unit: Its unit.
        text: Its meaning.
        least: The smallest plausible value.
        most: The largest plausible value.
        requests: The fewest requests.
        seconds: The shortest observation.
        calm: Whether overload falsifies it.
        busy: Whether the cost of an idle process falsifies it.
        unqueued: Whether it has no wait for a thread in it, so that such waits do not falsify it.
        constant: The constant that it replaces; a figure equal to it changes nothing.
        why: The reason for these bounds.
    """

    unit: str
    text: str
    least: float
    most: float
    requests: int
    seconds: int
    calm: bool = False
    busy: bool = False
    unqueued: bool = False
    constant: float | None = None
    why: str = ""


_MEAN = (
    "the mean of costs that differ by three times the mean is then known to a tenth "
    "(3 / √1000, judgement)"
)
NEEDS: Mapping[str, Need] = {
    "cpu_milliseconds_per_request": Need(
        "ms", "CPU time of a request, all threads of the workers together.",
        0.05, 60_000, figures.MEASURED_REQUESTS_MIN, 20, busy=True,
        constant=figures.CPU_MILLISECONDS_PER_REQUEST, why=_MEAN,
    ),
    "database_milliseconds_per_request": Need(
        "ms", "Time for which a request holds a database connection.",
        0.05, 60_000, figures.MEASURED_REQUESTS_MIN, 20, calm=True,
        constant=figures.DATABASE_MILLISECONDS_PER_REQUEST, why=_MEAN,
    ),
    "blocking_milliseconds_per_request": Need(
        "ms", "Time for which a request holds a thread.",
        0.05, 60_000, figures.MEASURED_REQUESTS_MIN, 20, calm=True, unqueued=True, why=_MEAN,
    ),
    "p95_milliseconds": Need(
        "ms", "95th percentile of the response time.",
        0.1, 600_000, figures.MEASURED_REQUESTS_MIN, 20, calm=True,
        constant=figures.P95_MILLISECONDS, why="fifty requests are then above the percentile",
    ),
    "requests_in_flight_per_worker": Need(
        "requests", "The most requests that a worker had under way at once.",
        0.01, 100_000, figures.MEASURED_REQUESTS_MIN, 20, calm=True,
        why="as for the percentile",
    ),
    "worker_memory_bytes": Need(
        "bytes", "The largest resident memory of a worker. `count` and `seconds` are those since "
        "the worker started, since its memory rarely shrinks.",
        4 * figures.MIB, 64 * figures.GIB, figures.MEASURED_WARM_REQUESTS, _HOUR,
        constant=figures.WORKER_MEMORY_BYTES,
        why="the heap of a worker is warm after so many requests and an hour: judgement",
    ),
    "cpu_cores_per_worker": Need(
        "cores", "The cores that a worker used in the busiest step of the observation.",
        0.001, 64, figures.MEASURED_REQUESTS_MIN, 7 * _DAY,
        why="the peak of a week needs a week",
    ),
    "peak_requests_per_second": Need(
        "requests/s", "Requests per second of the service in the busiest step.",
        0.01, 10_000_000, figures.MEASURED_REQUESTS_MIN, 7 * _DAY,
        why="the peak of a week needs a week",
    ),
}  # fmt: skip


class Measurements(Model):
    """The measured figures of one service, as ``measure -o yaml`` writes them."""

    service: str | None = Field(
        default=None,
        max_length=320,
        description="The service, as `NAME` or `NAMESPACE/NAME`. Default: the only one.",
    )
    until: str | None = Field(
        default=None, max_length=64, description="End of the observation, for readers."
    )
    busy_share: float = Field(
        ge=0,
        allow_inf_nan=False,
        description="Cores that a worker used on average; 1 is a saturated event loop.",
    )
    shed_share: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="Share of the requests that were rejected with 503.",
    )
    pool_wait_milliseconds: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Mean wait of a checkout for a database connection.",
    )
    threads_waiting: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Mean number of calls per pod that wait for a thread.",
    )
    pool_use_share: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Largest share of a pod's database connections that were in use, for readers.",
    )
    cpu_wait_share: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Share of the time for which a worker waited for a CPU, also because its pod "
        "was throttled, for readers.",
    )
    memory_growth_bytes_per_hour: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Growth of a worker's resident memory, for readers.",
    )
    start_seconds: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Longest time from the start of a pod until it was ready, for readers.",
    )
    figures: "Figures" = Field(description="The figures that replace constants.")

    @classmethod
    def from_mapping(cls, data: object) -> Self:
        """Parses one document of a file of measurements.

        Raises:
            pydantic.ValidationError: A key is unknown, or a value is invalid.
        """
        return cls.model_validate_json(json.dumps(data, default=str))

    def is_of(self, namespace: str, name: str) -> bool:
        """Whether they are those of a service; a part that either leaves out is not compared."""
        if self.service is None:
            return True
        own, _, wanted = self.service.rpartition("/")
        return wanted == name and (not own or not namespace or own == namespace)

    @property
    def is_overloaded(self) -> bool:
        """Whether requests queued, so that durations include their waits."""
        return (
            self.busy_share > figures.LOOP_BUSY or self.shed_share > figures.MEASURED_SHED_SHARE_MAX
        )

    @property
    def lacks_threads(self) -> bool:
        """Whether requests queued for a thread alone, so that more threads would serve them."""
        waiting = self.threads_waiting or 0.0
        is_idle = self.busy_share <= figures.LOOP_BUSY
        return is_idle and waiting >= figures.MEASURED_THREADS_WAITING_MIN

    @classmethod
    def accepted(cls, accepted: Mapping[str, Figure]) -> Self:
        """Returns measurements of figures that had enough data when they were accepted."""
        return cls(busy_share=figures.MEASURED_BUSY_MIN, figures=Figures(**accepted))

    def usable(self) -> Mapping[str, Figure]:
        """Returns the figures with enough data that differ from the constant they replace."""
        found = self.rounded()
        return {
            name: figure for name, figure in found.items() if figure.value != NEEDS[name].constant
        }

    def rounded(self) -> Mapping[str, Figure]:
        """Returns the figures with enough data, rounded so that noise changes few of them."""
        enough = self.enough()
        return {
            name: figure.model_copy(update={"value": _rounded(name, figure.value)})
            for name, figure in self.figures.present()
            if name in enough
        }

    def enough(self) -> frozenset[str]:
        """Returns the names of the figures with enough data."""
        return frozenset(
            name for name, figure in self.figures.present() if self._refusal(name, figure) is None
        )

    def unused(self) -> Iterator[str]:
        """Yields why each other figure is not used."""
        for name, figure in self.figures.present():
            refusal = self._refusal(name, figure)
            if refusal is not None:
                yield f"{alias_of(name)} is not used: {refusal}"

    def _refusal(self, name: str, figure: Figure) -> str | None:
        need = NEEDS[name]
        if not need.least <= figure.value <= need.most:
            least, most = shown(need.least, need.unit), shown(need.most, need.unit)
            return f"{shown(figure.value, need.unit)} is not between {least} and {most}"
        if figure.count < need.requests:
            return f"{figure.count:,} requests; {need.requests:,} are needed"
        if figure.seconds < need.seconds:
            return f"{duration(figure.seconds)}; {duration(need.seconds)} are needed"
        is_queued = self.is_overloaded and not (need.unqueued and self.lacks_threads)
        if need.calm and is_queued:
            return "the service was overloaded, so it includes waits"
        if need.busy and self.busy_share < figures.MEASURED_BUSY_MIN:
            return (
                f"a worker used {self.busy_share:.1%} of a core; below "
                f"{figures.MEASURED_BUSY_MIN:.0%} the idle process counts too much"
            )
        return None


class Figures(Model):
    """The figures of a service; an absent one was not measured, or is not used by the app."""

    cpu_milliseconds_per_request: Figure | None = None
    database_milliseconds_per_request: Figure | None = None
    blocking_milliseconds_per_request: Figure | None = None
    p95_milliseconds: Figure | None = None
    requests_in_flight_per_worker: Figure | None = None
    worker_memory_bytes: Figure | None = None
    cpu_cores_per_worker: Figure | None = None
    peak_requests_per_second: Figure | None = None

    def present(self) -> Iterator[tuple[str, Figure]]:
        """Yields the figures that were measured, by name."""
        return ((name, figure) for name in NEEDS if (figure := getattr(self, name)) is not None)


Measurements.model_rebuild()
NOT_MEASURED = Measurements(busy_share=0.0, figures=Figures())


def duration(seconds: float) -> str:
    """Returns a length of time in the largest unit that fits twice."""
    for unit, length in (("days", _DAY), ("h", _HOUR), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def shown(value: float, unit: str) -> str:
    """Returns a value with its unit."""
    if unit == "bytes":
        return quantity.format_bytes(math.ceil(value))
    return f"{value:,.6g} {unit}"


def _rounded(name: str, value: float) -> float:
    """Rounds up to two digits, memory to 8 MiB: the difference is below the noise."""
    if name == "worker_memory_bytes":
        step = figures.MEASURED_MEMORY_STEP_BYTES
        return float(math.ceil(value / step) * step)
    scale = 10.0 ** (math.floor(math.log10(value)) - 1)
    # 1.1 / 0.1 is 11.000000000000002, so differences of a millionth are none.
    return float(f"{math.ceil(value / scale - 1e-6) * scale:.2g}")


def alias_of(name: str) -> str:
    """Returns the name of a figure in a file."""
    return Figures.model_fields[name].alias or name
