"""The patch of a spec that makes a recommendation permanent, for GitOps."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator import quantity
from fastapi_operator.api import fields
from fastapi_operator.api.compute import Traffic
from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.decision import Decision, Source
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.measurements import Measurements, alias_of
from fastapi_operator.tuning.plan import Plan
from fastapi_operator.views.recommendation import Advice

Raw = Mapping[str, Any]
# A field changes the basis of another number, which the next round then sets as well.
_ROUNDS = 3


@dataclass(frozen=True)
class SpecPatch:
    """A merge patch.

    Attributes:
        spec: The fields to add to ``spec``; empty if there is nothing to change.
        differences: The numbers that the patch cannot give their recommended value, and why.
    """

    spec: Raw
    differences: tuple[str, ...] = ()


def spec_patch(
    advice: Advice, settings: Settings, facts: Facts, measurements: Measurements
) -> SpecPatch:
    """Returns the fields that give a service its recommended numbers without a measurement.

    Facts of the load go to ``spec.traffic``, from which the same formulas follow, also in
    later versions. Numbers that it does not express get their own field. A field that the spec sets
    is never changed.
    """
    recommended = {item.better.name: item.better for item in advice.recommendations}
    # Accepted numbers too, so that they stay if the mode is no longer Automatic.
    accepted = {item.name for item in advice.now.decisions() if item.source is Source.TUNED}
    recommended |= {item.name: item for item in advice.better.decisions() if item.name in accepted}
    if not recommended:
        return SpecPatch({})
    written = advice.service.written
    patch: Raw = {}
    for name, value in _traffic(advice, recommended.values(), measurements):
        patch = fields.with_value(patch, ("traffic", name), value)
    for _ in range(_ROUNDS):
        plan = _derived(advice.service, patch, settings, facts)
        added = patch
        for decision in _differing(plan, advice.better, recommended):
            own = tuple(_own_fields(decision))
            if all(fields.value_at(written, path) is None for path, _ in own):
                for path, value in own:
                    added = fields.with_value(added, path, value)
        if added == patch:
            break
        patch = added
    plan = _derived(advice.service, patch, settings, facts)
    left = {item.name: item for item in _differing(plan, advice.better, recommended)}
    got = {decision.name: decision for decision in plan.decisions()}
    return SpecPatch(
        patch,
        tuple(
            f"{name} will be {got[name].display()} instead of {decision.display()}"
            for name, decision in left.items()
        ),
    )


def merged(spec: Raw, patch: Raw) -> Raw:
    """Returns a spec with a merge patch."""
    result = dict(spec)
    for name, value in patch.items():
        below = result.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            result[name] = merged(below, value)
        else:
            result[name] = value
    return result


def _traffic(
    advice: Advice, recommended: Iterable[Decision[Any]], measurements: Measurements
) -> Iterator[tuple[str, int]]:
    """Yields the fields of ``spec.traffic``, in whole milliseconds or requests."""
    usable = measurements.usable()
    declared = advice.better.spec.traffic or Traffic()
    used = {name for decision in recommended for name in decision.figures}
    for name in Traffic.model_fields:
        if name in used and name in usable and getattr(declared, name) is None:
            yield alias_of(name), max(1, math.ceil(usable[name].value))


def _own_fields(decision: Decision[Any]) -> Iterator[tuple[fields.Path, Any]]:
    """Yields the fields that set a number itself; none if there is no such field."""
    paths = [item.path for item in decision.number.fields]
    if decision.name == "server.workers":
        yield ("server", "workerPolicy"), "Fixed"
    if paths:
        value = decision.value
        if decision.name.endswith("_bytes"):
            value = quantity.format_bytes(value)
        elif decision.name.endswith("_millicores"):
            value = quantity.format_cpu(value)
        # The last field is the number's own: scaling.maxReplicas after scaling.replicas.
        yield fields.split(paths[-1]), value


def _derived(service: FastAPIService, patch: Raw, settings: Settings, facts: Facts) -> Plan:
    body = {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": service.metadata.model_dump(mode="json", by_alias=True),
        "spec": json.loads(json.dumps(merged(service.written, patch))),
    }
    patched, problems = parse_service(body)
    assert patched is not None, problems
    return derive(patched, settings, facts)


def _differing(
    plan: Plan, better: Plan, recommended: Mapping[str, Decision[Any]]
) -> Iterator[Decision[Any]]:
    """Yields the recommended numbers, and those that must stay, that a patch misses."""
    got = {decision.name: decision.value for decision in plan.decisions()}
    for decision in better.decisions():
        matters = decision.name in recommended or decision.name == "server.workers"
        if matters and got[decision.name] != decision.value:
            yield decision
