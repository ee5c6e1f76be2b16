"""Every declared number, for the reference and for tests."""

import dataclasses
from collections.abc import Iterator, Mapping

from fastapi_operator.tuning import derive  # noqa: F401 (imports all modules that declare numbers)
from fastapi_operator.tuning.number import Number, declared
from fastapi_operator.tuning.plan import Plan


def sections() -> Iterator[tuple[str, Mapping[str, tuple[Number, ...]]]]:
    """Yields each section of the plan with its numbers by name, each with its cases."""
    for section in dataclasses.fields(Plan):
        found: dict[str, tuple[Number, ...]] = {}
        for number in declared():
            if number.name.startswith(f"{section.name}."):
                found[number.name] = (*found.get(number.name, ()), number)
        if found:
            yield section.name, found
