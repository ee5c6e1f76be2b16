from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_operator import quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("100m", Decimal("0.1")),
        ("0.5", Decimal("0.5")),
        (".5", Decimal("0.5")),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("1Gi", 2**30),
        ("1G", 10**9),
        ("12e-1", Decimal("1.2")),
        (2, 2),
        ("0", 0),
    ],
)
def test_a_quantity_is_parsed_to_its_number(text: str | int, number: Decimal) -> None:
    assert quantity.parse_quantity(text) == number


@pytest.mark.parametrize("text", ["12 bananas", "", "1gi", "-1", "1.2.3", "Gi", "1e", "1 Gi", "½"])
def test_an_invalid_quantity_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid quantity"):
        quantity.parse_quantity(text)


def test_fractions_round_up_as_in_kubernetes() -> None:
    assert quantity.millicores("0.0001") == 1
    assert quantity.size_bytes("1.5") == 2


@given(st.integers(min_value=0, max_value=10**15))
def test_formatted_bytes_are_parsed_to_the_same_number(size: int) -> None:
    assert quantity.size_bytes(quantity.format_bytes(size)) == size


@given(st.integers(min_value=0, max_value=10**9))
def test_formatted_cpu_is_parsed_to_the_same_number(thousandths: int) -> None:
    assert quantity.millicores(quantity.format_cpu(thousandths)) == thousandths
