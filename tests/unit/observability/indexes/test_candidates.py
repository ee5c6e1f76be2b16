from typing import Any

from fastapi_operator.observability.indexes.candidates import Table, candidates

ORDERS = Table("public", "orders", "public.orders", 200_000)


def scan(filter_: str = "", table: str = "orders", alias: str = "o") -> dict[str, Any]:
    node = {"Node Type": "Seq Scan", "Schema": "public", "Relation Name": table, "Alias": alias}
    return node | ({"Filter": filter_} if filter_ else {})


def above(child: dict[str, Any], kind: str, **details: Any) -> dict[str, Any]:
    return {"Node Type": kind, "Plans": [child], **details}


def tried(plan: dict[str, Any]) -> list[tuple[str, ...]]:
    return [index.columns for index in candidates(plan, [ORDERS])]


def test_columns_that_must_be_equal_come_before_those_of_a_sort() -> None:
    plan = above(scan("(o.customer = $1)"), "Sort", **{"Sort Key": ["o.created DESC"]})
    assert tried(above(plan, "Limit")) == [("customer", "created"), ("customer",), ("created",)]


def test_columns_that_must_be_equal_come_before_one_in_a_range() -> None:
    found = tried(scan("((o.created > $1) AND (o.customer = $2))"))
    assert found == [("customer", "created"), ("customer",), ("created",)]


def test_a_mixed_order_keeps_its_directions() -> None:
    plan = above(scan(), "Sort", **{"Sort Key": ["o.created DESC", "o.id"]})
    assert tried(plan) == [("created DESC", "id")]


def test_a_column_of_a_join_is_tried() -> None:
    plan = above(scan(), "Hash Join", **{"Hash Cond": "(o.customer = c.id)"})
    assert tried(plan) == [("customer",)]


def test_small_tables_and_other_scans_are_not_examined() -> None:
    assert not tried(scan("(o.customer = $1)", table="countries"))
    assert not tried(scan("(o.customer = $1)") | {"Node Type": "Index Scan"})


def test_a_statement_has_a_limited_number_of_trials() -> None:
    many = " AND ".join(f"(o.c{number} > $1)" for number in range(30))
    assert len(tried(scan(f"({many})"))) == 8


def test_the_definition_does_not_block_writes() -> None:
    (index,) = candidates(scan("(o.customer = $1)"), [ORDERS])
    assert index.definition(concurrently=True) == (
        "CREATE INDEX CONCURRENTLY ON public.orders (customer)"
    )
