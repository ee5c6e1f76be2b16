"""Indexes that could replace the sequential scans of a plan."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi_operator.observability.indexes.conditions import column, conditions

# Each one is planned once: more find little, and cost the database time.
_MOST = 8
# Of an index: further ones rarely make a scan shorter, and each write pays for them.
_COLUMNS = 3
_JOINS = ("Hash Cond", "Merge Cond", "Join Filter")
_DESCENDING = " DESC"

Plan = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table that is large enough for an index to matter.

    Attributes:
        schema: Its schema.
        name: Its name.
        sql: Both as SQL writes them.
        rows: The number of rows that the planner assumes.
    """

    schema: str
    name: str
    sql: str
    rows: int


@dataclass(frozen=True)
class Index:
    """An index that does not exist.

    Attributes:
        table: Its table.
        columns: Its columns as SQL writes them, each with its direction.
    """

    table: Table
    columns: tuple[str, ...]

    def definition(self, *, concurrently: bool = False) -> str:
        """Returns the statement that creates it.

        Args:
            concurrently: Whether the table can be written meanwhile.
        """
        option = "CONCURRENTLY " if concurrently else ""
        return f"CREATE INDEX {option}ON {self.table.sql} ({', '.join(self.columns)})"

    def begins(self, other: "Index") -> bool:
        """Whether a longer index has its columns first, so that it can replace this one."""
        return (
            self != other
            and self.table == other.table
            and self.columns == other.columns[: len(self.columns)]
        )


def candidates(plan: Plan, tables: Sequence[Table]) -> tuple[Index, ...]:
    """Returns the indexes to try on a statement, without duplicates, the most specific ones first.

    Args:
        plan: The plan of the statement.
        tables: The large tables; others are not examined.
    """
    large = {(table.schema, table.name): table for table in tables}
    found = dict.fromkeys(
        Index(large[place], columns)
        for scan, above in _scans(plan, ())
        if (place := (scan.get("Schema", ""), scan.get("Relation Name", ""))) in large
        for columns in _columns(scan, above)
    )
    return tuple(found)[:_MOST]


def _scans(node: Plan, above: tuple[Plan, ...]) -> Iterator[tuple[Plan, tuple[Plan, ...]]]:
    """Yields each sequential scan with the nodes above it, the nearest first."""
    if node.get("Node Type") == "Seq Scan":
        yield node, above
    for child in node.get("Plans", ()):
        yield from _scans(child, (node, *above))


def _columns(scan: Plan, above: Sequence[Plan]) -> Iterator[tuple[str, ...]]:
    alias = scan["Alias"]
    found = conditions(scan.get("Filter", ""), alias)
    equal = tuple(dict.fromkeys(one.column for one in found if one.equality))[:_COLUMNS]
    ranges = tuple(dict.fromkeys(one.column for one in found if not one.equality))
    joined = tuple(dict.fromkeys(_joined(above, alias)))
    order = _order(above, alias)
    combined = [equal + order] if order else []
    combined += [(*equal, one) for one in (*ranges, *joined)]
    combined += [equal, *((one,) for one in (*equal, *ranges, *joined)), order]
    for columns in combined:
        if columns and len(columns) <= _COLUMNS:
            yield tuple(dict.fromkeys(columns))


def _joined(above: Sequence[Plan], alias: str) -> Iterator[str]:
    for node in above:
        for key in _JOINS:
            for one in conditions(node.get(key, ""), alias):
                if one.equality:
                    yield one.column


def _order(above: Sequence[Plan], alias: str) -> tuple[str, ...]:
    """Returns the columns of the nearest sort, if all of them are the table's."""
    keys = next((node["Sort Key"] for node in above if "Sort Key" in node), ())
    if all(key.endswith(_DESCENDING) for key in keys):
        # An index can be read backwards.
        keys = [key.removesuffix(_DESCENDING) for key in keys]
    found = []
    for key in keys:
        name = column(key.removesuffix(_DESCENDING), alias)
        if name is None:
            return ()
        found.append(name + (_DESCENDING if key.endswith(_DESCENDING) else ""))
    return tuple(found)
