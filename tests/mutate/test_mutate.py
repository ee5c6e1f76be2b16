"""A sample of ``make mutate``, and a check that each mutation removes something."""

import contextlib

import pytest

from tests.mutate.judge import Judge
from tests.mutate.mutations import Mutation, groups, mutations

ALL = mutations()
SAMPLE = ALL[:: len(ALL) // 24]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.mark.parametrize("mutation", SAMPLE, ids=[item.name for item in SAMPLE])
def test_some_test_fails_without(mutation: Mutation, judge: Judge) -> None:
    assert judge.notices(mutation), f"no golden case fails without {mutation.name}"


def test_nothing_is_missed_where_nothing_is_taken_away(judge: Judge) -> None:
    assert not judge.notices(Mutation("nothing", contextlib.nullcontext))


def test_groups_are_lines_and_whole_blocks() -> None:
    text = "a\n\n{% if x %}\nb\n{% else %}\nc\n{% endif %}\n{# why #}\nd\n"
    assert sorted(groups(text.splitlines(keepends=True))) == [
        (1, 1),
        (3, 7),
        (4, 4),
        (6, 6),
        (9, 9),
    ]
