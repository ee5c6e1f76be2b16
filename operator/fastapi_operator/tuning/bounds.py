"""Bounds of quantities: the least with which a program runs, and the most that has a use.

A schema cannot compare quantities, so the plan does. The bounds of integers are in the schema.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator import quantity
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import figures

_TEBIBYTE = 1024 * figures.GIB
_NODE = "no node has more"
_PARTS = r"parts[.][a-z]+[.](containers[.][a-z0-9-]+[.])?"
_PROCESSES = r"(background|schedules)\[.+\][.]|postgres.migrations[.]"


@dataclass(frozen=True)
class Bound:
    """The least and the most of some fields, in millicores or bytes, each with its reason."""

    fields: str
    least: int
    too_small: str
    most: int
    too_large: str

    @property
    def is_cpu(self) -> bool:
        """Whether the fields are in cores."""
        return self.fields.endswith("cpu")


_BOUNDS = (
    Bound(
        rf"({_PROCESSES})?resources.limits.cpu",
        figures.PROCESS_CPU_LIMIT_MIN_MILLICORES,
        "a Python process takes 0.75 s of CPU to start (measured), and probes fail meanwhile",
        figures.CPU_MAX_MILLICORES,
        _NODE,
    ),
    Bound(
        "resources.requests.cpu",
        figures.CPU_MIN_MILLICORES,
        "the autoscaler measures the use of CPU against it",
        figures.CPU_MAX_MILLICORES,
        _NODE,
    ),
    Bound(
        rf"({_PROCESSES})resources.requests.cpu",
        0,
        "",
        figures.CPU_MAX_MILLICORES,
        _NODE,
    ),
    Bound(
        "postgres.resources.(limits|requests).cpu",
        figures.CPU_MIN_MILLICORES,
        "PostgreSQL cannot respond to a probe in time",
        figures.CPU_MAX_MILLICORES,
        _NODE,
    ),
    Bound(
        rf"(({_PROCESSES})?resources.(limits|requests).memory|tuning.resize.maxMemory)",
        0,
        "",
        figures.MEMORY_MAX_BYTES,
        _NODE,
    ),
    Bound(
        "postgres.resources.(limits|requests).memory",
        figures.POSTGRES_MEMORY_MIN_BYTES,
        "PostgreSQL with its background processes and a few connections takes as much",
        figures.MEMORY_MAX_BYTES,
        _NODE,
    ),
    Bound(
        rf"({_PARTS})resources.(limits|requests).cpu",
        1,
        "the scheduler counts in thousandths of a core",
        figures.CPU_MAX_MILLICORES,
        _NODE,
    ),
    Bound(
        rf"({_PARTS})resources.(limits|requests).memory",
        figures.CONTAINER_MEMORY_MIN_BYTES,
        "no program of the operator's images starts with less",
        figures.MEMORY_MAX_BYTES,
        _NODE,
    ),
    Bound(
        "(redis|queue).memory",
        0,
        "",
        figures.REDIS_MEMORY_MAX_BYTES,
        "one thread serves all of it, and a snapshot forks it",
    ),
    Bound(
        "postgres.storage.size",
        figures.POSTGRES_STORAGE_MIN_BYTES,
        f"the write-ahead log alone takes {quantity.format_bytes(figures.WAL_LEAST_BYTES)}, and "
        "more when a checkpoint is late",
        figures.STORAGE_MAX_BYTES,
        "no volume has more",
    ),
    Bound(
        "(postgres.backup.storage|redis.persistence|queue.persistence).size",
        figures.STORAGE_MIN_BYTES,
        "the file system and one file take as much",
        figures.STORAGE_MAX_BYTES,
        "no volume has more",
    ),
    Bound(
        "proxy.maxBodySize",
        1024,
        "every request with a body would get 413, and 0 would mean no limit",
        _TEBIBYTE,
        "a request would have to be resumable",
    ),
    Bound(
        "proxy.cache.size",
        figures.MIB,
        "it holds no response",
        _TEBIBYTE,
        "the keys alone would take 16Gi of memory",
    ),
)


def out_of_bounds(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Reports quantities with which a program cannot run, or that no cluster has.

    Args:
        spec: The spec as written, valid by schema.
    """
    for path, value in _values(spec, ""):
        for bound in _BOUNDS:
            if re.fullmatch(bound.fields, path):
                yield from _check(bound, path, value)


def _check(bound: Bound, path: str, value: str | int) -> Iterator[Problem]:
    amount = quantity.millicores(value) if bound.is_cpu else quantity.size_bytes(value)
    shown = quantity.format_cpu if bound.is_cpu else quantity.format_bytes
    if amount < bound.least:
        yield _problem(
            path,
            f"{value} is too small: {bound.too_small}",
            f"set at least {shown(bound.least)}{_unit_hint(value)}",
        )
    if amount > bound.most:
        yield _problem(
            path, f"{value} is too large: {bound.too_large}", f"set at most {shown(bound.most)}"
        )


def _unit_hint(value: str | int) -> str:
    return "; without a suffix the unit is one byte or one core" if str(value).isdigit() else ""


def _values(value: Any, path: str) -> Iterator[tuple[str, str | int]]:
    """Yields each string and number of a spec; the items of lists by name."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _values(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            name = item.get("name", index) if isinstance(item, Mapping) else index
            yield from _values(item, f"{path}[{name}]")
    elif isinstance(value, str | int):
        yield path, value


def _problem(path: str, message: str, remedy: str) -> Problem:
    return Problem(Severity.ERROR, Stage.PLAN, f"spec.{path}", message, remedy)
