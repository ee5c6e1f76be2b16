"""A summary as text of bounded size, as its ConfigMap has it."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi_operator.observation.hours import (
    DIGEST,
    KEPT_HOURS,
    PEAKS,
    SUMS,
    Hour,
    Hours,
)
from fastapi_operator.observation.reading import BOUNDS_SECONDS

# The largest summary: hours of a week whose numbers are all as long as possible.
MAX_BYTES = 14_000
_VERSION = 1
_MOST = 9.99e9
_DETAIL = (*SUMS, *PEAKS)


def encode(hours: Hours) -> str:
    """Returns a summary as JSON: a row for each hour, its age in hours first.

    Numbers have three digits. A row has the fields of ``Hour`` and then its durations, or the
    fields of a digest.
    """
    newest = max(hours.by_number, default=0)
    rows = ",\n".join(
        f"[{','.join(_row(newest - number, hour))}]"
        for number, hour in sorted(hours.by_number.items(), reverse=True)
    )
    return f'{{"version":{_VERSION},"hour":{newest},"hours":[\n{rows}\n]}}\n'


def _row(age: int, hour: Hour) -> Iterator[str]:
    yield str(age)
    is_detail = hour.digest() != hour
    for name in _DETAIL if is_detail else DIGEST:
        yield _text(getattr(hour, name))
    if is_detail:
        yield from map(_text, hour.durations)


def _text(value: float) -> str:
    # Below a thousandth of a second, of a request or of a core, nothing matters.
    value = round(min(_MOST, max(-_MOST, value)), 3)
    mantissa, exponent, power = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(power)}" if exponent else mantissa


def decode(text: str) -> Hours:
    """Returns a summary from its text; an empty one if people broke the text."""
    try:
        data = json.loads(text)
        if data["version"] != _VERSION:
            return Hours()
        newest = int(data["hour"])
        found = {newest - int(row[0]): _hour(row[1:]) for row in data["hours"][:KEPT_HOURS]}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return Hours()
    return Hours() + Hours(found)


def _hour(row: Sequence[Any]) -> Hour:
    """Returns an hour from its numbers.

    Raises:
        ValueError: Their count or a value is wrong.
    """
    values = [float(value) for value in row]
    if not all(math.isfinite(value) and abs(value) <= _MOST for value in values):
        raise ValueError("a number is out of range")
    split = len(_DETAIL)
    fields: dict[str, Any] = {}
    if len(values) == len(DIGEST):
        fields.update(zip(DIGEST, values, strict=True))
    elif len(values) == split + len(BOUNDS_SECONDS):
        fields.update(zip(_DETAIL, values[:split], strict=True), durations=tuple(values[split:]))
    else:
        raise ValueError("a row has another length")
    return Hour(**fields)
