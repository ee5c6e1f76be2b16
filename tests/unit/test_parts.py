"""The registry of parts: every part has every fact, and each fact is documented."""

import dataclasses
from pathlib import Path

import pytest

from fastapi_operator.parts import CAUSES_FIRST, PARTS, Part, for_each_part
from fastapi_operator.resources.build import BUILDERS
from fastapi_operator.tuning.plan import Plan

PAGES = Path(__file__).parents[2] / "docs" / "parts"
SECTIONS = {item.name for item in dataclasses.fields(Plan)}


@pytest.mark.parametrize("part", Part)
def test_a_part_has_every_fact(part: Part) -> None:
    record = part.record
    assert part in BUILDERS
    assert record.condition.endswith("Ready")
    assert record.help and not record.help.endswith(".")
    assert set(record.sections) <= SECTIONS
    assert record.pods in SECTIONS | {""}
    if record.pods:
        assert record.suffix


@pytest.mark.parametrize("part", Part)
def test_the_page_of_a_part_exists_and_documents_its_condition(part: Part) -> None:
    page = PAGES / part.record.page
    assert page.is_file(), f"docs/parts/{part.record.page} is missing"
    assert f"`{part.condition}`" in page.read_text()


def test_no_two_parts_share_a_condition_or_a_section_of_the_plan() -> None:
    conditions = [record.condition for record in PARTS.values()]
    sections = [section for record in PARTS.values() for section in record.sections]
    assert len(set(conditions)) == len(conditions)
    assert len(set(sections)) == len(sections)


def test_a_part_comes_after_those_on_which_it_depends() -> None:
    assert set(CAUSES_FIRST) == set(Part)
    for part in Part:
        for needed in part.record.depends_on:
            assert CAUSES_FIRST.index(needed) < CAUSES_FIRST.index(part)


def test_a_part_that_takes_connections_has_a_port() -> None:
    for part in Part:
        assert bool(part.record.clients) == bool(part.record.ports), part


def test_a_part_without_an_entry_is_refused_with_the_place_of_the_table() -> None:
    table = dict.fromkeys(set(Part) - {Part.CACHE}, "")
    with pytest.raises(LookupError, match=r"Part\.CACHE has no record: add one to PARTS"):
        for_each_part(table, entry="record", place="PARTS")
