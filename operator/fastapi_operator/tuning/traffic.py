"""The figures of a request: as the spec declares them, else as measured, else judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fastapi_operator.api.compute import Traffic
from fastapi_operator.tuning.decision import Measured
from fastapi_operator.tuning.measurements import Figure, Measurements


@dataclass(frozen=True)
class Load:
    """The figures of a request: from the spec or its profile, else measured, else judged.

    Attributes:
        traffic: ``spec.traffic`` with its profile.
        measured: The usable figures by name.
    """

    traffic: Traffic
    measured: Mapping[str, Figure]

    @classmethod
    def of(cls, traffic: Traffic | None, measurements: Measurements) -> Self:
        """Combines the declared figures with the measured ones."""
        return cls(traffic or Traffic(), measurements.usable())

    def value(self, name: str, constant: float | None = None, *, least: float = 0) -> Any:
        """Returns a figure for a formula.

        Args:
            name: Its name, which is that of the field of ``spec.traffic`` if there is one.
            constant: Its value if it is neither declared nor measured; None if there is none.
            least: The smallest value that a measurement may have.
        """
        declared = getattr(self.traffic, name, None)
        if declared is not None:
            return declared
        figure = self.measured.get(name)
        if figure is None:
            return constant
        return Measured(max(_as_written(figure.value), least), constant, (name,))

    def only_if_measured(self, value: float, constant: float | None, *names: str) -> Any:
        """Returns a value that counts only if one of these figures is measured, and not declared.

        Args:
            value: The value.
            constant: The value otherwise.
            names: The names of the figures.
        """
        used = tuple(
            name
            for name in names
            if name in self.measured and getattr(self.traffic, name, None) is None
        )
        return Measured(value, constant, used) if used else constant


def _as_written(value: float) -> float:
    return int(value) if value.is_integer() else value
