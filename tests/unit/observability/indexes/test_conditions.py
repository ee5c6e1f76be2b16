import pytest

from fastapi_operator.observability.indexes.conditions import Condition, column, conditions


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(o.customer = $1)", [("customer", True)]),
        ("($1 = o.customer)", [("customer", True)]),
        ("((o.status)::text = ANY (ARRAY[$1, $2]))", [("status", True)]),
        ("((o.paid_at IS NULL) AND (o.created >= $1))", [("paid_at", True), ("created", False)]),
        ("((o.a = $1) OR ((o.b)::character varying(9) < $2))", [("a", True), ("b", False)]),
        ("(lower((o.email)::text) = $1)", [("(lower((email)::text))", True)]),
        ("(o.customer = c.id)", [("customer", True)]),
        ('(o."userId" = $1)', [('"userId"', True)]),
        ("(o.note = 'x) AND (o.fake = 1'::text)", [("note", True)]),
    ],
)
def test_compared_columns_are_found(text: str, found: list[tuple[str, bool]]) -> None:
    assert conditions(text, "o") == tuple(Condition(*one) for one in found)


@pytest.mark.parametrize(
    "text", ["", "(o.a <> $1)", "(o.a IS NOT NULL)", "(o.a = o.b)", "(c.id = $1)", "(NOT o.paid)"]
)
def test_conditions_that_no_index_helps_are_left_out(text: str) -> None:
    assert conditions(text, "o") == ()


def test_a_sort_key_is_a_column_or_nothing() -> None:
    assert column("o.created", "o") == "created"
    assert column("lower(o.email)", "o") is None
    assert column("c.created", "o") is None
