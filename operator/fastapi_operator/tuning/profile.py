"""A service as its profile has it: defaults filled in, ceilings held, required fields missed.

All that comes after this step reads the service that comes out of it, so that no formula and no
builder of a part has to know of profiles.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from fastapi_operator import naming
from fastapi_operator.api import cel, fields
from fastapi_operator.api.fields import Path
from fastapi_operator.api.model import Model
from fastapi_operator.api.service import FastAPIService, Spec
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.profiles import ASKED_FOR, BOUNDS, NO_PROFILE, Profile
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.contradictions import contradictions
from fastapi_operator.tuning.decision import Decision, Source
from fastapi_operator.tuning.plan import Plan

SectionT = TypeVar("SectionT")
Raw = dict[str, Any]


class Leaf(NamedTuple):
    """One default of a profile: where it belongs, and its value."""

    path: Path
    value: Any


class _Filled(NamedTuple):
    """A spec as written and parsed, and the fields of it that a profile filled in."""

    raw: Raw
    spec: Spec
    paths: frozenset[Path] = frozenset()


@dataclass(frozen=True)
class Clamp:
    """A value that a ceiling lowered.

    Attributes:
        ceiling: The most there is, as the profile writes it.
        wanted: What was asked for, or what would have been derived.
        asked: Whether it was asked for.
    """

    ceiling: str | int
    wanted: str | int
    asked: bool


@dataclass(frozen=True)
class Profiled:
    """What a service says, together with its profile.

    Attributes:
        spec: The spec with the profile's defaults, below its ceilings.
        name: Name of the profile; empty where there is none.
        profile: The profile; one that says nothing where there is none.
        defaults: Paths that the profile filled in, such as ``spec.scaling.minReplicas``.
        clamps: What its ceilings lowered, by such paths.
        problems: An unknown profile, required fields that are missing, requests cut short.
    """

    spec: Spec
    name: str = ""
    profile: Profile = NO_PROFILE
    defaults: frozenset[str] = frozenset()
    clamps: Mapping[str, Clamp] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def lowered(self, plan: Plan) -> "Profiled | None":
        """The service once more where a derived number exceeds a ceiling; None where none does.

        The ceiling then stands in the spec, so that every number that follows from it agrees.
        """
        for name, ceiling in self.profile.ceilings.items():
            bound = BOUNDS[name]
            for number, path in bound.derived.items():
                section, _, field_name = number.partition(".")
                decision: Decision[Any] | None
                decision = getattr(getattr(plan, section), field_name, None)
                exceeds = decision is not None and decision.value > bound.amount(ceiling)
                if decision is not None and exceeds and f"spec.{path}" not in self.clamps:
                    clamp = Clamp(ceiling, decision.display(), asked=False)
                    spec = _with_values(self.spec, {path: ceiling})
                    clamps = {**self.clamps, f"spec.{path}": clamp}
                    return dataclasses.replace(self, spec=spec, clamps=clamps)
        return None

    def attributed(self, section: SectionT) -> SectionT:
        """A section of the plan, its decisions saying where the profile decided."""
        if not dataclasses.is_dataclass(section) or isinstance(section, type):
            return section
        told = {
            item.name: self._attributed(decision)
            for item in dataclasses.fields(section)
            if isinstance(decision := getattr(section, item.name), Decision)
            and (decision.path in self.clamps or decision.path in self.defaults)
        }
        return dataclasses.replace(section, **told) if told else section

    def _attributed(self, decision: Decision[Any]) -> Decision[Any]:
        clamp = self.clamps.get(decision.path)
        if clamp is not None:
            asked = f"{decision.path} asks for {clamp.wanted}"
            derived = f"{clamp.wanted} would be derived"
            reason = f"profile {self.name} allows at most {clamp.ceiling}; " + (
                asked if clamp.asked else derived
            )
        else:
            reason = f"default of profile {self.name} for {decision.path}"
        return dataclasses.replace(decision, source=Source.PROFILE, reason=reason)


def profiled(service: FastAPIService, settings: Settings, facts: Facts) -> Profiled:
    """The service with the profile that it names, else with that of its namespace.

    Args:
        service: The service, valid by schema and rules.
        settings: Holds the profiles.
        facts: Say which profile a namespace has.
    """
    namespace = service.metadata.namespace
    name = service.spec.profile or facts.profiles.get(namespace)
    if name is None:
        return Profiled(service.spec)
    profile = settings.profiles.get(name)
    if profile is None:
        origin = (
            f"{name!r} is no profile"
            if service.spec.profile
            else f"the label {naming.PROFILE_LABEL} of namespace {namespace} names {name!r}, "
            "which is no profile"
        )
        remedy = f"known are {', '.join(sorted(settings.profiles))}"
        return Profiled(service.spec, problems=(_problem("spec.profile", origin, remedy),))
    given = _raw(service.spec)
    leaves = [leaf for leaf in _leaves(_raw(profile.defaults)) if _has_room(given, leaf.path)]
    merged, spec, paths = _filled(_Filled(given, service.spec), leaves)
    taken = frozenset(f"spec.{'.'.join(path)}" for path in paths)
    clamps = dict(_clamps(merged, profile, taken))
    ceilings = {path.removeprefix("spec."): clamp.ceiling for path, clamp in clamps.items()}
    return Profiled(
        spec=_with_values(spec, ceilings) if ceilings else spec,
        name=name,
        profile=profile,
        defaults=taken - clamps.keys(),
        clamps=clamps,
        problems=(*_missing(merged, profile, name), *_cut_short(clamps, name)),
    )


def _filled(base: _Filled, leaves: Sequence[Leaf]) -> _Filled:
    """The spec with as many of a profile's defaults as do not contradict it.

    First all of them are tried, then section by section, then field by field.
    """
    if not leaves:
        return base
    raw = base.raw
    for path, value in leaves:
        raw = fields.with_value(raw, path, value)
    spec, changed = _parsed(raw), frozenset(leaf.path for leaf in leaves)
    broken = itertools.chain(cel.broken_rules(raw, changed=changed), contradictions(spec))
    if next(broken, None) is None:
        return _Filled(raw, spec, base.paths | changed)
    for piece in _pieces(leaves):
        base = _filled(base, piece)
    return base


def _pieces(leaves: Sequence[Leaf]) -> Sequence[Sequence[Leaf]]:
    sections = [
        list(found) for _, found in itertools.groupby(leaves, key=lambda leaf: leaf.path[0])
    ]
    if len(sections) > 1:
        return sections
    return [[leaf] for leaf in leaves] if len(leaves) > 1 else []


def _leaves(defaults: Mapping[str, Any], above: Path = ()) -> Iterator[Leaf]:
    for name, value in defaults.items():
        path = (*above, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        elif value is not None:
            yield Leaf(path, value)


def _has_room(given: Raw, path: Path) -> bool:
    return _is_asked_for(given, path, self_too=True) and fields.value_at(given, path) is None


def _is_asked_for(given: Raw, path: Path, *, self_too: bool) -> bool:
    """Whether a service has every section on the way to a field that it must ask for itself."""
    ends = range(1, len(path) + self_too)
    return all(
        fields.value_at(given, path[:end]) is not None
        for end in ends
        if ".".join(path[:end]) in ASKED_FOR
    )


def _clamps(merged: Raw, profile: Profile, defaults: frozenset[str]) -> Iterator[tuple[str, Clamp]]:
    for name, ceiling in profile.ceilings.items():
        bound = BOUNDS[name]
        for path in bound.fields:
            wanted = fields.value_at(merged, fields.split(path))
            if wanted is not None and bound.amount(wanted) > bound.amount(ceiling):
                asked = f"spec.{path}" not in defaults
                yield f"spec.{path}", Clamp(ceiling, wanted, asked)


def _cut_short(clamps: Mapping[str, Clamp], name: str) -> Iterator[Problem]:
    for path, clamp in clamps.items():
        if clamp.asked:
            yield _problem(
                path,
                f"asks for {clamp.wanted}, profile {name} allows at most {clamp.ceiling}",
                f"{clamp.ceiling} is used; write that, or ask the platform team for more",
                Severity.WARNING,
            )


def _missing(merged: Raw, profile: Profile, name: str) -> Iterator[Problem]:
    for required in profile.required:
        path = fields.split(required)
        if fields.value_at(merged, path) is not None:
            continue
        if not _is_asked_for(merged, path, self_too=False):
            continue
        sample = fields.sample_at(Spec, required)
        written = fields.with_value(merged, path, sample)
        if next(cel.broken_rules(written, changed=frozenset({path})), None) is not None:
            # What a rule forbids, such as a backup of an external database, nobody can require.
            continue
        shown = json.dumps(sample) if not isinstance(sample, str) else sample
        yield _problem(
            f"spec.{required}",
            f"profile {name} requires it",
            f"write {path[-1]}: {shown}, for example" if sample else f"write {path[-1]}: {{…}}",
        )


def _with_values(spec: Spec | Raw, values: Mapping[str, str | int]) -> Spec:
    raw = _raw(spec) if isinstance(spec, Spec) else spec
    for path, value in values.items():
        raw = fields.with_value(raw, fields.split(path), value)
    return _parsed(raw)


def _parsed(raw: Raw) -> Spec:
    # JSON mode: strict about scalars, yet a list may become a tuple.
    return Spec.model_validate_json(json.dumps(raw))


def _raw(model: Model) -> Raw:
    raw: Raw = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return raw


def _problem(path: str, message: str, remedy: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(severity, Stage.PLAN, path, message, remedy)
