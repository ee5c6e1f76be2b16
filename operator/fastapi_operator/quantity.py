"""Parses and formats Kubernetes quantities: ``100m``, ``0.5``, ``1e3``, ``1Gi``, ``1G``.

Source: the grammar in k8s.io/apimachinery/pkg/api/resource/quantity.go.
"""

import functools
import re
from decimal import ROUND_CEILING, Decimal

_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
# Pattern of the API server, with [0-9], since \d differs between RE2 and Python.
PATTERN = (
    r"^[+]?([0-9]{1,18}|[0-9]{1,18}[.][0-9]{0,9}|[.][0-9]{1,9})"
    r"([eE][+-]?[0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)?$"
)
# Bound of numbers without quotes: the API server compares as doubles, which are exact up to 2^53.
LARGEST_INTEGER = 10**15
_QUANTITY = re.compile(PATTERN)


# A service has few different quantities, and each reconciliation parses them again.
@functools.lru_cache(maxsize=1024)
def parse_quantity(text: str | int) -> Decimal:
    """Returns the exact number of a quantity.

    Args:
        text: A quantity, for example ``"250m"`` or ``"1Gi"``, or an integer.

    Raises:
        ValueError: The text is not a quantity.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(
            f"{text!r} is not a valid quantity; use for example 500m, 2, 256Mi or 10Gi"
        )
    number, suffix = match.group(1), match.group(2) or ""
    if suffix[:1] in "eE" and suffix[1:] not in ("", "i"):
        return Decimal(number) * Decimal(10) ** int(suffix[1:])
    return Decimal(number) * _SUFFIXES[suffix]


def millicores(text: str | int) -> int:
    """Returns CPU in thousandths of a core, rounded up as in Kubernetes."""
    return _ceiling(parse_quantity(text) * 1000)


def size_bytes(text: str | int) -> int:
    """Returns memory or storage in bytes, rounded up as in Kubernetes."""
    return _ceiling(parse_quantity(text))


def format_cpu(thousandths: int) -> str:
    """Formats thousandths of a core as a canonical quantity: ``500m``, ``2``."""
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def format_bytes(size: int) -> str:
    """Formats bytes as the shortest exact binary quantity."""
    for suffix in ("Ti", "Gi", "Mi", "Ki"):
        unit = int(_SUFFIXES[suffix])
        if size and size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)


def _ceiling(number: Decimal) -> int:
    return int(number.to_integral_value(rounding=ROUND_CEILING))
