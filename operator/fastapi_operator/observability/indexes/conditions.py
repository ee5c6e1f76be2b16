"""The conditions of a plan, as ``EXPLAIN (VERBOSE)`` writes them: which columns they compare.

The planner judges each index later, so a condition that is misread costs one trial and no more.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)'
_CAST = r"(?:::[a-z_][\w .]*(?:\(\d+(?:,\d+)?\))?(?:\[\])?)*"
_COLUMN = re.compile(rf"\(*({_NAME})\.({_NAME})\)*{_CAST}\)*")
_REFERENCE = re.compile(rf"({_NAME})\.({_NAME})(?!\()")
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_COMPARISON = re.compile(r" (=|<>|<=|>=|<|>|IS NOT NULL|IS NULL) ?")
_EQUALITIES = frozenset({"=", "IS NULL"})
_RANGES = frozenset({"<", "<=", ">", ">="})
_SWAPPED_ARRAY = "ANY ("


class Condition(NamedTuple):
    """A comparison of a column, or of an expression, as an index has it.

    Attributes:
        column: The column or the expression in parentheses.
        equality: Whether it must equal a value; else it is in a range.
    """

    column: str
    equality: bool


def conditions(text: str, alias: str) -> tuple[Condition, ...]:
    """Returns the conditions of one table.

    Args:
        text: The condition of a plan, for example ``((o.customer = $1) AND (o.paid IS NULL))``.
        alias: The name of the table in the plan.
    """
    return tuple(_conditions(text, alias))


def column(text: str, alias: str) -> str | None:
    """Returns the column that an expression consists of; None if it is another expression."""
    found = _COLUMN.fullmatch(text.strip())
    return found[2] if found and _unquoted(found[1]) == alias else None


def _conditions(text: str, alias: str) -> Iterator[Condition]:
    text = _without_parentheses(text.strip())
    for word in (" AND ", " OR "):
        terms = _split(text, word)
        if len(terms) > 1:
            for term in terms:
                yield from _conditions(term, alias)
            return
    for found in _COMPARISON.finditer(_masked(text)):
        left, operator, right = text[: found.start()], found[1], text[found.end() :]
        if operator not in _EQUALITIES | _RANGES:
            return
        for side, other in ((left, right), (right, left)):
            indexed = _indexed(side, alias)
            if indexed and not _mentions(other, alias):
                yield Condition(indexed, operator in _EQUALITIES)
                return
        return


def _indexed(text: str, alias: str) -> str | None:
    """Returns the columns of an index on one side of a comparison."""
    if text.startswith(_SWAPPED_ARRAY) or not _mentions(text, alias) or "$" in text:
        return None
    simple = column(text, alias)
    if simple:
        return simple
    if _tables(text) != {alias} or "SubPlan" in text:
        return None
    return f"({_REFERENCE.sub(lambda found: found[2], text)})"


def _mentions(text: str, alias: str) -> bool:
    return alias in _tables(text)


def _tables(text: str) -> set[str]:
    return {_unquoted(found[1]) for found in _REFERENCE.finditer(_LITERAL.sub("''", text))}


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _split(text: str, word: str) -> list[str]:
    terms, start = [], 0
    for found in re.finditer(word, _masked(text)):
        terms.append(text[start : found.start()])
        start = found.end()
    return [*terms, text[start:]]


def _masked(text: str) -> str:
    """Returns the text with each character in parentheses or quotes replaced."""
    return "".join("_" if depth else text[at] for at, depth in enumerate(_depths(text)))


def _without_parentheses(text: str) -> str:
    while text.startswith("(") and _first_close(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _first_close(text: str) -> int:
    """Returns where the first parenthesis is closed."""
    # A quoted one is deeper.
    closes = (at for at, depth in enumerate(_depths(text)) if depth == 1 and text[at] == ")")
    return next(closes, -1)


def _depths(text: str) -> list[int]:
    """Returns for each character in how many parentheses, brackets and quotes it is."""
    depths, depth, quote = [], 0, ""
    for character in text:
        if quote:
            depths.append(depth + 1)
            quote = "" if character == quote else quote
            continue
        if character in "'\"":
            quote = character
        depth += character in "(["
        depths.append(depth + bool(quote))
        depth -= character in ")]"
    return depths
