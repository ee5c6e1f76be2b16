"""A decision: the value of one number for one service, with the reason for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from fastapi_operator import quantity
from fastapi_operator.tuning.effects import Disruption, Enforcer

if TYPE_CHECKING:
    from fastapi_operator.tuning.number import Number

T = TypeVar("T")
# The page to which decisions refer.
REFERENCE = "docs/reference/numbers.md"


class Source(StrEnum):
    """Who decided a value."""

    SPEC = "spec"
    PROFILE = "profile"
    TUNED = "tuned"
    DERIVED = "derived"


class Because(NamedTuple, Generic[T]):
    """The result of a formula: a value and its reason, with ``{input}`` for each input it names."""

    value: T
    reason: str


class Measured(NamedTuple):
    """A measured input of formulas.

    Attributes:
        value: The measured value.
        otherwise: The value for a number that is not tunable.
        figures: The names of the figures from which it comes.
    """

    value: Any
    otherwise: Any
    figures: tuple[str, ...]


class Override(NamedTuple):
    """A value that wins over the formula, with the reason and who set it."""

    value: Any
    reason: str
    source: Source
    path: str = ""


@dataclass(frozen=True, slots=True)
class Decision(Generic[T]):
    """The value of one number of the plan.

    Attributes:
        number: The declaration of the number.
        name: Its path in the plan, for example ``server.workers``.
        value: The value.
        reason: Why it has this value, in a sentence.
        inputs: All values that the formula read; empty if the formula did not decide.
        source: Who decided.
        path: The field that set the value; empty if no field did.
        figures: The names of the measured figures that changed the value.
    """

    number: "Number"
    name: str
    value: T
    reason: str
    inputs: Mapping[str, Any]
    source: Source
    path: str = ""
    figures: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The unit, for example ``processes``; empty for names and switches."""
        return self.number.unit

    @property
    def disruption(self) -> Disruption:
        """The cost of a change to the running service."""
        return self.number.effect.disruption

    @property
    def enforced_by(self) -> Enforcer:
        """Who enforces the value."""
        return self.number.effect.enforced_by

    @property
    def reference(self) -> str:
        """Where the reference explains the formula."""
        return f"{REFERENCE}#{self.number.name}"

    def display(self) -> str:
        """The value for people, with its unit."""
        return display(self.name, self.value, self.unit)


def display(name: str, value: object, unit: str = "") -> str:
    """A value for people; the suffix of the name decides which values are shown as quantities."""
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
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
