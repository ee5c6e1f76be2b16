"""A number with its reason: the only way a number enters the plan."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from fastapi_operator import quantity
from fastapi_operator.tuning.effects import Disruption, Effect, Enforcer

T = TypeVar("T")


class Source(StrEnum):
    """Who decided a value."""

    SPEC = "spec"
    PROFILE = "profile"
    DERIVED = "derived"


@dataclass(frozen=True)
class Because(Generic[T]):
    """What a formula answers: a value, and a reason in which ``{input}`` stands for an input."""

    value: T
    reason: str


@dataclass(frozen=True)
class Override(Generic[T]):
    """A value that somebody set; it wins over the formula.

    Attributes:
        value: The value.
        path: Where it was set, for the reason: ``spec.server.workers``.
        source: Who set it.
    """

    value: T
    path: str
    source: Source = Source.SPEC


@dataclass(frozen=True)
class Decision(Generic[T]):
    """One number of the plan.

    Attributes:
        name: Its path in the plan, such as ``server.workers``.
        value: The number.
        unit: Its unit, such as ``processes`` or ``seconds``; empty for names and switches.
        reason: Why it has this value, in a sentence.
        inputs: All that the formula saw.
        source: Who decided.
        disruption: What changing it costs.
        enforced_by: Who holds it.
        path: The field that set it; empty where none did.
    """

    name: str
    value: T
    unit: str
    reason: str
    inputs: Mapping[str, Any]
    source: Source
    disruption: Disruption
    enforced_by: Enforcer
    path: str = ""

    @property
    def reference(self) -> str:
        """Where docs/tuning.md explains the formula."""
        # Of several of a kind, such as background.worker.replicas, the document knows one.
        section, _, rest = self.name.partition(".")
        return f"docs/tuning.md#{section}.{rest.rpartition('.')[2]}"

    def display(self) -> str:
        """The value for people, with its unit."""
        return display(self.name, self.value, self.unit)


def decide(
    name: str,
    formula: Callable[..., Because[T]],
    *,
    unit: str,
    effect: Effect,
    override: Override[T] | None = None,
    **inputs: Any,
) -> Decision[T]:
    """Makes a decision; the keyword arguments are all that the formula sees.

    Args:
        name: Path of the decision in the plan.
        formula: Gives the value and its reason from the inputs.
        unit: Unit of the value.
        effect: Who holds the value and what a change costs.
        override: A value that was set, where one was; the formula is then not asked.
        inputs: What the formula reads; a Decision stands for its value.
    """
    seen = {key: item.value if isinstance(item, Decision) else item for key, item in inputs.items()}
    if override is not None:
        because = Because(override.value, f"set by {override.path}")
        source, seen = override.source, {}
    else:
        because = formula(**seen)
        source = Source.DERIVED
    reason = because.reason
    if "{" in reason:
        reason = reason.format(**{key: display(key, item) for key, item in seen.items()})
    return Decision(
        name=name,
        value=because.value,
        unit=unit,
        reason=reason,
        inputs=seen,
        source=source,
        disruption=effect.disruption,
        enforced_by=effect.enforced_by,
        path=override.path if override is not None else "",
    )


def fixed(
    name: str,
    value: T,
    reason: str,
    *,
    unit: str,
    effect: Effect,
    override: Override[T] | None = None,
) -> Decision[T]:
    """A decision that nothing of the service moves, unless somebody sets it.

    Args:
        name: Path of the decision in the plan.
        value: A figure.
        reason: Why it is this one.
        unit: Unit of the value.
        effect: Who holds the value and what a change costs.
        override: A value that was set, where one was.
    """
    return decide(name, lambda: Because(value, reason), unit=unit, effect=effect, override=override)


def overridden(value: T | None, path: str) -> Override[T] | None:
    """What the spec says at ``path``, or None where it is silent."""
    return None if value is None else Override(value, path)


def display(name: str, value: object, unit: str = "") -> str:
    """A value for people: bytes and millicores, told by the name, become quantities."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if name.endswith("_bytes"):
        return quantity.format_bytes(int(value))
    if name.endswith("limit_millicores") and value == 0:
        return "none"
    if name.endswith("_millicores"):
        return f"{value / 1000:g} CPU"
    number = f"{value:g}" if isinstance(value, float) else str(value)
    if value == 1:
        unit = "process" if unit == "processes" else unit.removesuffix("s")
    return f"{number} {unit}" if unit else number
