"""Rounds of faults, each judged against an undisturbed run of the same fleet."""

import os
import tempfile
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.operator import audit
from tests.faults import judge
from tests.faults.faults import Fault, nothing
from tests.faults.field import QUIET_SECONDS, Field, field_of
from tests.faults.fleet import NAMESPACES
from tests.faults.people import SERVICES

UNDISTURBED = Fault("undisturbed", nothing, 1.0)


@dataclass(frozen=True)
class Outcome:
    """The result of a round.

    Attributes:
        fault: Its name.
        seed: Of the fleet and of everything else.
        requests: For services, from the first of them to the end.
        against: Requests of the undisturbed run.
        objects: The objects at the end.
        seconds: How long all of it took.
        settled_seconds: From the end of the fault until everything was in order.
        met: The remark of the fault about itself.
        broken: The guarantees that did not hold.
    """

    fault: Fault
    seed: int
    requests: int
    against: int
    objects: judge.Objects
    seconds: float
    settled_seconds: float
    met: str
    broken: tuple[str, ...]


def undisturbed(seed: int, count: int, *, short: bool = False) -> Outcome:
    """The run that others are compared with."""
    return _run((UNDISTURBED,), seed, count, None, short=short)


def disturbed(
    faults: Iterable[Fault], wanted: Outcome, count: int, *, short: bool = False
) -> Outcome:
    """A round: the faults hit the same fleet, one after another."""
    return _run(tuple(faults), wanted.seed, count, wanted, short=short)


def _run(
    faults: tuple[Fault, ...], seed: int, count: int, wanted: Outcome | None, *, short: bool
) -> Outcome:
    began, broken, since = time.monotonic(), [], 0
    requests: list[audit.Request] = []
    objects: judge.Objects = {}
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        field_of(
            f"faults-{os.getpid()}",
            seed=seed,
            count=count,
            folder=Path(folder),
            wanted=wanted.objects if wanted else None,
            short=short,
            controllers=any(fault.controllers for fault in faults),
        ) as field,
    ):
        try:
            since = field.log.mark()
            field.begin()
            for number, fault in enumerate(faults):
                field.open_turn(number, len(faults))
                fault.hit(field)
            requests = audit.of_services(field.log.requests(since))
            broken += field.broken_promises(requests) + _restless(field)
            objects = judge.snapshot(field.kube, NAMESPACES)
        except Exception as error:
            traceback.print_exc()
            broken.append(f"{type(error).__name__}: {error}")
        if wanted is not None and not broken:
            most = (1 + sum(fault.budget - 1 for fault in faults)) * wanted.requests
            if len(requests) > most:
                broken.append(f"{len(requests)} requests, more than {most:.0f}")
    return Outcome(
        fault=faults[-1],
        seed=seed,
        requests=len(requests),
        against=wanted.requests if wanted else len(requests),
        objects=objects,
        seconds=time.monotonic() - began,
        settled_seconds=field.settled_seconds,
        met=field.met,
        broken=tuple(broken),
    )


def _restless(field: Field) -> list[str]:
    """Whether a new operator finds anything to write, and what it changes in a status."""
    since, before = field.log.mark(), _statuses(field)
    with field.operator():
        time.sleep(QUIET_SECONDS)
    found = [
        f"written at rest: {request.verb} {request.resource}/{request.name}"
        for request in audit.of_services(field.log.requests(since))
        if request.writes
    ]
    if found:
        after = _statuses(field)
        found += [
            f"status of {name}: {path}: {before[name].get(path)!r} became {after[name].get(path)!r}"
            for name in before.keys() & after
            for path in sorted(before[name].keys() | after[name])
            if before[name].get(path) != after[name].get(path)
        ]
    return found


def _statuses(field: Field) -> dict[str, dict[str, object]]:
    """The fields of the status of each service."""
    return {
        body["metadata"]["name"]: body.get("status", {})
        for namespace in NAMESPACES
        for body in field.kube.items(SERVICES.format(namespace=namespace))
    }
