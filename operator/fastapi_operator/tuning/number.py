"""Numbers, each declared once: name, unit, effect, field, ceiling and formula.

A group holds the numbers that are decided together. A formula is a function whose name is the
number's, and its parameters are all that it reads: values that the caller passes to the group,
and numbers of the group that are declared before it. So the inputs of a decision are complete.

    POOLER = Group("pooler", effects.SERVER_RELOAD)

    @POOLER.number(unit="connections")
    def _min_pool_size(*, default_pool_size: int) -> Because[int]:
        '''default_pool_size / 2.'''
        return Because(default_pool_size // 2, "half of {default_pool_size} stay open")

    plan = PoolerPlan(**POOLER.decide(profiled, default_pool_size=20))
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from fastapi_operator import quantity
from fastapi_operator.api import fields
from fastapi_operator.api.model import Model, entry_of
from fastapi_operator.api.service import Spec
from fastapi_operator.api.tuning import NumberBound
from fastapi_operator.tuning.decision import Because, Decision, Measured, Override, Source, display
from fastapi_operator.tuning.effects import Effect
from fastapi_operator.tuning.profile import ProfiledSpec

Formula = TypeVar("Formula", bound=Callable[..., Because[Any]])
_UNITS = {"_seconds": "seconds", "_percent": "percent", "_milliseconds": "ms"}
_CONVERSIONS = {"_bytes": quantity.size_bytes, "_millicores": quantity.millicores}
_NO_OVERRIDES: Mapping[str, Override] = {}
_GROUPS: list["Group"] = []


class Entry(Protocol):
    """One entry of a list of the spec."""

    @property
    def name(self) -> str: ...  # noqa: D102


class _Field(NamedTuple):
    """A field that sets a number: its path as users write it, and as attributes of the models."""

    path: str
    attributes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Number:
    """The declaration of one number.

    Attributes:
        name: Its path in the plan; for an entry of a list without the entry's own name.
        key: The last part of the name.
        unit: Its unit; empty for names, switches, bytes and millicores.
        effect: Who enforces it, and the cost of a change.
        formula: Returns the value and the reason.
        inputs: The parameters of the formula.
        fields: The fields that set it, the strongest first.
        ceiling: The ceiling of a profile that bounds it.
        amount: The resource of a container or volume of which it is the request or the limit, so
            that a LimitRange bounds it; empty for other numbers.
        headline: Whether ``status.tuning`` shows it.
        tunable: Whether a measurement may change it while the service runs.
        case: When this formula applies, if there are several for the number.
        convert: Converts a quantity of the spec to the unit of the number.
        prefix: The path of the object that has the fields.
    """

    name: str
    key: str
    unit: str
    effect: Effect
    formula: Callable[..., Because[Any]]
    inputs: tuple[str, ...]
    fields: tuple[_Field, ...]
    ceiling: str
    amount: str
    headline: bool
    tunable: bool
    case: str
    convert: Callable[[str | int], int] | None
    prefix: str

    @property
    def explanation(self) -> str:
        """The formula in words, its reason and its evidence."""
        return inspect.cleandoc(self.formula.__doc__ or "")

    def paths(self) -> Iterator[str]:
        """Yields the fields that set it, as users write them."""
        return (f"{self.prefix}{item.path}" for item in self.fields)

    def override(self, profiled: ProfiledSpec, root: object, prefix: str) -> Override | None:
        """The value that a field sets; None if all fields are absent."""
        for path, attributes in self.fields:
            value: Any = root
            for name in attributes:
                is_map = isinstance(value, Mapping)
                value = value.get(name) if is_map else getattr(value, name)
                if value is None:
                    break
            else:
                value = value if self.convert is None else self.convert(value)
                full_path = prefix + path
                reason = profiled.reasons.get(full_path)
                source = Source.SPEC if reason is None else Source.PROFILE
                return Override(value, reason or f"set by {full_path}", source, full_path)
        return None


@dataclass
class Group:
    """Numbers of one section of the plan that are decided together.

    Attributes:
        section: The section of the plan.
        effect: The effect of numbers that declare no other.
        case: When these formulas apply, if the section has several for a number.
        entry: The model of an entry, if the section is a list of the spec.
        numbers: The numbers, in the order in which they are decided.
    """

    section: str
    effect: Effect
    case: str = ""
    entry: type[Model] | None = None
    numbers: list[Number] = field(default_factory=list)

    def __post_init__(self) -> None:
        _GROUPS.append(self)

    def number(
        self,
        name: str = "",
        *,
        unit: str = "",
        effect: Effect | None = None,
        field: str | tuple[str, ...] = (),
        ceiling: str = "",
        amount: str = "",
        headline: bool = False,
        tunable: bool = False,
    ) -> Callable[[Formula], Formula]:
        """Declares a number, whose formula is the decorated function.

        Args:
            name: The last part of its name; the default is the function's.
            unit: Unit of the value; ``_seconds`` and the like at the end of the name imply it.
            effect: Who enforces it and the cost of a change; the default is the group's.
            field: Paths of the fields that set it, below ``spec`` or below the entry.
            ceiling: The ceiling of a profile that bounds it.
            amount: The resource of which it is the request or the limit of a container or volume.
            headline: Whether ``status.tuning`` shows it.
            tunable: Whether a measurement may change it while the service runs.
        """

        def declare(formula: Formula) -> Formula:
            code = formula.__code__
            key = name or formula.__name__.lstrip("_")
            paths = (field,) if isinstance(field, str) else field
            self.numbers.append(
                Number(
                    name=f"{self.section}.{key}",
                    key=key,
                    unit=_unit(key, unit),
                    effect=effect or self.effect,
                    formula=formula,
                    inputs=code.co_varnames[: code.co_kwonlyargcount],
                    fields=tuple(
                        _Field(path, _attributes(self.entry or Spec, path)) for path in paths
                    ),
                    ceiling=ceiling,
                    amount=amount,
                    headline=headline,
                    tunable=tunable,
                    case=self.case,
                    convert=_CONVERSIONS.get(_suffix(key)),
                    prefix="spec." if self.entry is None else f"spec.{self.section}[].",
                )
            )
            return formula

        return declare

    def constant(
        self, key: str, value: object, reason: str, *, evidence: str = "", **declaration: Any
    ) -> None:
        """Declares a number that no property of the service changes.

        Args:
            key: The last part of its name.
            value: The value, from ``figures``.
            reason: Why it has this value.
            evidence: Where it comes from, for example ``judgement``.
            declaration: As for ``number``.
        """
        because = Because(value, reason)

        def formula() -> Because[object]:
            return because

        shown = f"{display(key, value, _unit(key, declaration.get('unit', '')))}: {reason}"
        formula.__doc__ = f"{shown} ({evidence})." if evidence else f"{shown}."
        self.number(key, **declaration)(formula)

    def decide(
        self,
        profiled: ProfiledSpec,
        *,
        entry: Entry | None = None,
        overrides: Mapping[str, Override] = _NO_OVERRIDES,
        **known: Any,
    ) -> dict[str, Any]:
        """Decides the numbers of the group, by the last part of their names.

        Args:
            profiled: The spec and its profile.
            entry: The entry of the list, if the section is one.
            overrides: Values that win over the formulas, but not over the spec.
            known: The values that formulas may read; a decision counts as its value. A measured
                one counts only for a tunable number, and only if it changes it.
        """
        root: object = profiled.spec
        section, prefix = self.section, "spec."
        if entry is not None:
            root = entry
            section, prefix = f"{section}.{entry.name}", f"spec.{section}[{entry.name}]."
        known = {
            name: item.value if isinstance(item, Decision) else item for name, item in known.items()
        }
        decided: dict[str, Any] = {}
        for number in self.numbers:
            key = number.key
            override = number.override(profiled, root, prefix) if number.fields else None
            override = override or (overrides.get(key) if overrides else None)
            inputs: dict[str, Any] = {}
            measured: tuple[str, ...] = ()
            if override is not None:
                value, reason, source, path = override
            else:
                inputs, measured = _inputs(number, known, number.name in profiled.frozen)
                value, reason = number.formula(**inputs)
                source, path = Source.TUNED if measured else Source.DERIVED, ""
                if "{" in reason:
                    reason = reason.format(**{k: display(k, v) for k, v in inputs.items()})
                if measured:
                    reason = f"{reason}; measured"
                    if (bound := profiled.bounded.get(number.name)) is not None:
                        value, reason = _bounded(number, bound, known, value, reason)
            if number.ceiling and profiled.exceeds(number.ceiling, value):
                shown = display(key, value, number.unit)
                reason, source = (
                    profiled.lowered(number.ceiling, f"{shown} would be derived"),
                    Source.PROFILE,
                )
                value, inputs, measured = profiled.most(number.ceiling), {}, ()
            least = profiled.least(number.amount) if number.amount else None
            if least is not None and 0 < value < least.amount:
                shown = display(key, least.amount)
                reason = f"LimitRange {least.origin} requires at least {shown}; otherwise {reason}"
                value = least.amount
            known[key] = value
            decided[key] = Decision(
                number, f"{section}.{key}", value, reason, inputs, source, path, measured
            )
        return decided


def _inputs(
    number: Number, known: Mapping[str, Any], is_frozen: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns the inputs of the formula, and the figures that change its value."""
    given = {name: known[name] for name in number.inputs}
    measured = {name: item for name, item in given.items() if isinstance(item, Measured)}
    if not measured:
        return given, ()
    otherwise = _otherwise(number, known)
    if not number.tunable or is_frozen:
        return otherwise, ()
    given |= {name: item.value for name, item in measured.items()}
    if number.formula(**given).value == number.formula(**otherwise).value:
        return otherwise, ()
    figures = (name for item in measured.values() for name in item.figures)
    return given, tuple(dict.fromkeys(figures))


def _otherwise(number: Number, known: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the inputs of the formula without measurements."""
    given = {name: known[name] for name in number.inputs}
    return {
        name: item.otherwise if isinstance(item, Measured) else item for name, item in given.items()
    }


def _bounded(
    number: Number, bound: NumberBound, known: Mapping[str, Any], value: Any, reason: str
) -> tuple[Any, str]:
    """Returns a measured value within ``spec.tuning.bounds``, and its reason.

    It is between the measured value and that without a measurement, so that what holds for both,
    for example the connection budget, holds for it.
    """
    derived = number.formula(**_otherwise(number, known)).value
    least, most = amount_of(number, bound.min), amount_of(number, bound.max)
    within, which = value, ""
    if least is not None and value < least:
        within, which = max(value, min(least, derived)), "min"
    if most is not None and value > most:
        within, which = min(value, max(most, derived)), "max"
    if within == value:
        return value, reason
    shown = display(number.key, value, number.unit)
    return within, f"spec.tuning.bounds has a {which}; {shown} otherwise: {reason}"


def amount_of(number: Number, written: str | int | None) -> int | None:
    """Returns a quantity of the spec in the unit of a number; None for none.

    Raises:
        ValueError: It is not a whole number of that unit.
    """
    if written is None:
        return None
    convert = _CONVERSIONS.get(_suffix(number.key), int)
    return convert(written)


def declared() -> Iterator[Number]:
    """Every number that the imported modules declare, in the order of declaration."""
    for group in _GROUPS:
        yield from group.numbers


def _suffix(key: str) -> str:
    return f"_{key.rpartition('_')[2]}"


def _unit(key: str, unit: str) -> str:
    return unit or _UNITS.get(_suffix(key), "")


def _attributes(model: type[Model], path: str) -> tuple[str, ...]:
    """Returns the attributes that lead to a field.

    Raises:
        ValueError: There is no such field.
    """
    names: list[str] = []
    section: type[Model] | None = model
    entry: type[Model] | None = None
    for alias in fields.split(path):
        if entry is not None:
            # A key of a map.
            names.append(alias)
            section, entry = entry, None
            continue
        own = section.model_fields if section is not None else {}
        name = next((name for name, field in own.items() if (field.alias or name) == alias), None)
        if name is None:
            raise ValueError(f"{path}: {alias} is not a field")
        names.append(name)
        section, entry = fields.section_of(own[name]), entry_of(own[name].annotation)
    return tuple(names)
