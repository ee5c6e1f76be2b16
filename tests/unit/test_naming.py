"""Names with a maximum length."""

from fastapi_operator import naming


def test_a_name_that_fits_is_unchanged() -> None:
    assert naming.bounded("shop-background-worker", 52) == "shop-background-worker"


def test_names_with_the_same_prefix_differ_after_they_are_cut() -> None:
    names = {naming.bounded("a" * 50 + end, 52) for end in ("-one", "-two")}
    assert len(names) == 2
    assert all(len(name) <= 52 for name in names)
