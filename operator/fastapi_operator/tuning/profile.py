"""A spec with its profile: defaults filled in, ceilings applied, missing fields reported.

Defaults and ceilings change the spec as it was written, before it is parsed. So every formula and
every builder reads one spec, and no part depends on profiles. A ceiling of a number that the spec
does not set is applied when the number is decided.
"""

import functools
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastapi_operator import naming
from fastapi_operator.api import cel, fields
from fastapi_operator.api.fields import Path
from fastapi_operator.api.service import FastAPIService, Spec
from fastapi_operator.api.tuning import NumberBound
from fastapi_operator.facts import Facts
from fastapi_operator.limit_ranges import CPU, NO_LIMITS, STORAGE, Bound, Limits
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.profiles import BOUNDS, NO_PROFILE, OPTIONAL_SECTIONS, Profile
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.contradictions import contradictions
from fastapi_operator.tuning.measurements import NOT_MEASURED, Measurements
from fastapi_operator.tuning.traffic import Load

Raw = Mapping[str, Any]


class Leaf(NamedTuple):
    """One default of a profile: its field and its value."""

    path: Path
    value: Any


class _Excess(NamedTuple):
    """A value of the spec above a ceiling; ``is_default`` if the profile itself set it."""

    path: str
    value: str | int
    ceiling: str | int
    is_default: bool


@dataclass(frozen=True)
class ProfiledSpec:
    """A spec with the defaults of its profile, and within its ceilings.

    Attributes:
        spec: The spec, parsed.
        raw: The same spec, as the user would write it.
        name: Name of the profile; empty if there is none.
        profile: The profile; an empty one if there is none.
        reasons: Why a field has its value, for each field that the profile set or lowered.
        problems: An unknown profile, missing required fields, values above a ceiling.
        limits: The LimitRanges of the namespace.
        measurements: Measurements of the service.
    """

    spec: Spec
    raw: Raw
    name: str = ""
    profile: Profile = NO_PROFILE
    reasons: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    limits: Limits = NO_LIMITS
    measurements: Measurements = NOT_MEASURED

    @functools.cached_property
    def load(self) -> Load:
        """The figures of a request."""
        return Load.of(self.spec.traffic, self.measurements)

    @functools.cached_property
    def frozen(self) -> frozenset[str]:
        """The names of the numbers that no measurement changes."""
        tuning = self.spec.tuning
        return frozenset((tuning.freeze or ()) if tuning is not None else ())

    @functools.cached_property
    def bounded(self) -> Mapping[str, NumberBound]:
        """The bounds of numbers that measurements change, by name."""
        tuning = self.spec.tuning
        bounds = (tuning.bounds or ()) if tuning is not None else ()
        return {bound.name: bound for bound in bounds}

    @property
    def limits_cpu(self) -> bool:
        """Whether containers need a CPU limit that neither the spec nor a formula asks for."""
        return self.profile.cpu_limits or self.limits.container.sets_limit(CPU)

    def least(self, resource: str) -> Bound | None:
        """The least that the LimitRanges permit for a container or a volume."""
        kind = self.limits.claim if resource == STORAGE else self.limits.container
        return kind.least.get(resource)

    def most(self, ceiling: str) -> int | None:
        """The most that a ceiling allows; None if the profile does not set it."""
        value = self.profile.ceilings.get(ceiling)
        return None if value is None else BOUNDS[ceiling].amount(value)

    def exceeds(self, ceiling: str, value: int) -> bool:
        """Whether a value is above a ceiling of the profile."""
        most = self.most(ceiling)
        return most is not None and value > most

    def lowered(self, ceiling: str, wanted: str) -> str:
        """The reason of a value that a ceiling lowered."""
        return f"profile {self.name} allows at most {self.profile.ceilings[ceiling]}; {wanted}"


def with_profile(service: FastAPIService, settings: Settings, facts: Facts) -> ProfiledSpec:
    """Applies the profile that a service names, or else that of its namespace.

    Args:
        service: The service, valid by schema and rules.
        settings: The settings, which have the profiles.
        facts: The facts, which have the profile and the LimitRanges of each namespace.
    """
    namespace = service.metadata.namespace
    limits = facts.limits_of(namespace)
    name = service.spec.profile or facts.profiles.get(namespace)
    if name is None:
        return ProfiledSpec(service.spec, service.written, limits=limits)
    profile = settings.profiles.get(name)
    if profile is None:
        origin = (
            f"profile {name!r} does not exist"
            if service.spec.profile
            else f"the label {naming.PROFILE_LABEL} of namespace {namespace} is {name!r}, and that "
            "profile does not exist"
        )
        remedy = f"use one of {', '.join(sorted(settings.profiles))}"
        problem = _problem("spec.profile", origin, remedy)
        return ProfiledSpec(service.spec, service.written, problems=(problem,), limits=limits)
    written = service.written
    defaults: Raw = profile.defaults.model_dump(mode="json", by_alias=True, exclude_none=True)
    leaves = [leaf for leaf in _leaves(defaults) if _has_room(written, leaf.path)]
    filled, paths = _filled(written, leaves)
    excesses = tuple(_excesses(filled, profile, paths))
    raw = filled
    for excess in excesses:
        raw = fields.with_value(raw, fields.split(excess.path), excess.ceiling)
    return ProfiledSpec(
        # In JSON mode scalars are strict, and yet a list may become a tuple.
        spec=service.spec if raw is written else Spec.model_validate_json(json.dumps(raw)),
        raw=raw,
        name=name,
        profile=profile,
        reasons=dict(_reasons(name, paths, excesses)),
        problems=(*_missing(filled, profile, name), *_excess_problems(excesses, name)),
        limits=limits,
    )


def _filled(raw: Raw, leaves: Sequence[Leaf]) -> tuple[Raw, frozenset[Path]]:
    """The spec with as many defaults as do not contradict it, and the fields that they fill.

    All of them are tried together first, then section by section, then field by field.
    """
    filled = raw
    for path, value in leaves:
        filled = fields.with_value(filled, path, value)
    changed = frozenset(leaf.path for leaf in leaves)
    broken = itertools.chain(cel.broken_rules(filled, changed=changed), contradictions(filled))
    if not leaves or next(broken, None) is None:
        return filled, changed
    paths: frozenset[Path] = frozenset()
    for piece in _pieces(leaves):
        raw, of_piece = _filled(raw, piece)
        paths |= of_piece
    return raw, paths


def _pieces(leaves: Sequence[Leaf]) -> Sequence[Sequence[Leaf]]:
    sections = [
        list(found) for _, found in itertools.groupby(leaves, key=lambda leaf: leaf.path[0])
    ]
    if len(sections) > 1:
        return sections
    return [[leaf] for leaf in leaves] if len(leaves) > 1 else []


def _leaves(defaults: Raw, above: Path = ()) -> Iterator[Leaf]:
    for name, value in defaults.items():
        path = (*above, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        elif value is not None:
            yield Leaf(path, value)


def _has_room(written: Raw, path: Path) -> bool:
    return _is_asked_for(written, path, self_too=True) and fields.value_at(written, path) is None


def _is_asked_for(written: Raw, path: Path, *, self_too: bool) -> bool:
    """Whether a service has every section on the way to a field that it must request itself."""
    ends = range(1, len(path) + self_too)
    return all(
        fields.value_at(written, path[:end]) is not None
        for end in ends
        if ".".join(path[:end]) in OPTIONAL_SECTIONS
    )


def _excesses(filled: Raw, profile: Profile, defaults: frozenset[Path]) -> Iterator[_Excess]:
    for name, ceiling in profile.ceilings.items():
        bound = BOUNDS[name]
        for text in bound.fields:
            path = fields.split(text)
            value = fields.value_at(filled, path)
            if value is not None and bound.amount(value) > bound.amount(ceiling):
                yield _Excess(f"spec.{text}", value, ceiling, path in defaults)


def _reasons(
    name: str, defaults: frozenset[Path], excesses: Sequence[_Excess]
) -> Iterator[tuple[str, str]]:
    for names in defaults:
        path = f"spec.{'.'.join(names)}"
        yield path, f"default of profile {name} for {path}"
    for path, value, ceiling, is_default in excesses:
        wanted = f"{value} would be derived" if is_default else f"{path} is {value}"
        yield path, f"profile {name} allows at most {ceiling}; {wanted}"


def _excess_problems(excesses: Sequence[_Excess], name: str) -> Iterator[Problem]:
    for path, value, ceiling, is_default in excesses:
        if not is_default:
            yield _problem(
                path,
                f"is {value}, and profile {name} allows at most {ceiling}",
                f"set it to {ceiling}, which is used, or ask the platform team for more",
                Severity.WARNING,
            )


def _missing(filled: Raw, profile: Profile, name: str) -> Iterator[Problem]:
    for required in profile.required:
        path = fields.split(required)
        if fields.value_at(filled, path) is not None:
            continue
        if not _is_asked_for(filled, path, self_too=False):
            continue
        sample = fields.sample_at(Spec, required)
        written = fields.with_value(filled, path, sample)
        if next(cel.broken_rules(written, changed=frozenset({path})), None) is not None:
            # A rule forbids the field here, for example a backup of an external database.
            continue
        shown = json.dumps(sample) if not isinstance(sample, str) else sample
        yield _problem(
            f"spec.{required}",
            f"profile {name} requires it",
            f"set it, for example {path[-1]}: {shown}" if sample else f"set {path[-1]}: {{…}}",
        )


def _problem(path: str, message: str, remedy: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(severity, Stage.PLAN, path, message, remedy)
