"""Names that must fit."""

from fastapi_operator import naming


def test_a_name_that_fits_stays() -> None:
    assert naming.bounded("shop-background-worker", 52) == "shop-background-worker"


def test_a_name_that_is_cut_keeps_apart_from_others_of_the_same_beginning() -> None:
    names = {naming.bounded("a" * 50 + end, 52) for end in ("-one", "-two")}
    assert len(names) == 2
    assert all(len(name) <= 52 for name in names)
