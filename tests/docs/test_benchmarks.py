"""The tables in docs/benchmarks.md are complete, agree with their figures, and are not too old."""

import datetime
import random
import subprocess
from collections.abc import Mapping, Set

import pytest

from tests.benchmarks import bars, document
from tests.benchmarks.canary.__main__ import CASES as CANARIES
from tests.benchmarks.layers.__main__ import ROWS as LAYERS
from tests.benchmarks.overload import rivals
from tests.benchmarks.overload.cells import RIVAL_MULTIPLES, RIVAL_WORKS
from tests.benchmarks.runtime.servers import KINDS
from tests.benchmarks.serving.__main__ import Plan
from tests.cluster import places
from tests.diagnosis.faults import FAULTS as DIAGNOSED
from tests.e2e.test_trouble import CASES as TROUBLE
from tests.faults.__main__ import ALL
from tests.resilience import crowd
from tests.resilience.scenarios import SCENARIOS

SECTIONS = document.sections()
TABLES = [
    pytest.param(section, table, id=f"{section}: {table.bar.heading}")
    for section, text in SECTIONS.items()
    for table in bars.tables(section, text)
]
# The rows that each table must have, by a heading of the table.
ROWS: Mapping[str, Set[str]] = {
    "of its own best": {
        f"{server.name}, {work.name}, {multiple:g}"
        for server in rivals.servers(1)
        for work in RIVAL_WORKS
        for multiple in RIVAL_MULTIPLES
    },
    "first diagnosis": {create(random.Random(0)).name for create in DIAGNOSED.values()},
    "A/A": {
        f"{limit}, {workload.name}" for limit in Plan().limits for workload in Plan().workloads
    },
    "guarantees": {f"{fault.name}, {seed}" for fault in ALL for seed in (1, 2)},
    "change": {scenario.name for scenario in SCENARIOS},
    "clients": set(crowd.CASES),
    "trouble": set(TROUBLE),
    "sample": {"`minimal.yaml`", "`full.yaml`"},
    "aborted": {case.name for case in CANARIES},
    "removed": {"builder", "fragment", "template"},
    "times bare: median (quartiles)": {kind.name for kind in KINDS},
    "of a small request: median (quartiles)": set(LAYERS),
    "instructions a request, thousands": {kind.name for kind in KINDS},
}
ROW = (
    "| change | requests | lost | writes twice or missing |\n| --- | --- | --- | --- |\n"
    "| a reload | 100000 | {} | 0 |"
)


def test_each_section_has_a_bar_or_needs_none() -> None:
    assert set(SECTIONS) == set(bars.BARS) | bars.WITHOUT_BAR


def test_each_bar_has_its_table() -> None:
    found = {(param.values[0], param.values[1].bar.heading) for param in TABLES}
    assert found == {
        (section, bar.heading) for section, declared in bars.BARS.items() for bar in declared
    }


@pytest.mark.parametrize(("section", "table"), TABLES)
def test_no_row_is_missing(section: str, table: bars.Table) -> None:
    names = [name for name, _ in table.rows]
    missing = ROWS.get(table.bar.heading, set()) - set(names)
    assert names and not missing, f"{section} has no row of {sorted(missing)}"


@pytest.mark.parametrize(("section", "table"), TABLES)
def test_each_verdict_agrees_with_its_figures(section: str, table: bars.Table) -> None:
    for name, row in table.rows:
        assert row[bars.VERDICT] == bars.verdict(table.bar, row), f"{section}, {name}"


def test_the_page_lists_the_bars_that_are_not_met() -> None:
    assert document.read(document.NOT_MET).strip() == bars.not_met(SECTIONS)


def test_the_page_states_the_age_that_is_checked() -> None:
    assert f"more than {bars.MAX_AGE_DAYS} days after" in document.DOCUMENT.read_text()


@pytest.mark.parametrize(("section", "table"), TABLES)
def test_no_table_is_much_older_than_its_code(section: str, table: bars.Table) -> None:
    command = ["git", "log", "-1", "--format=%cs", "--", *table.bar.code]
    printed = subprocess.run(
        command, cwd=places.REPOSITORY, capture_output=True, text=True, check=True
    )
    changed = datetime.date.fromisoformat(printed.stdout.strip())
    age = (changed - document.measured(section)).days
    assert age <= bars.MAX_AGE_DAYS, f"{section}: its code changed {age} days after it"


@pytest.mark.parametrize(("lost", "verdict"), [("0", "met"), ("1", "not met")])
def test_a_table_is_written_with_its_verdicts(lost: str, verdict: str) -> None:
    written = bars.with_verdicts("resilience", ROW.format(lost))
    assert written.splitlines()[2] == f"| a reload | 100000 | {lost} | 0 | {verdict} |"
    # A row from an earlier run keeps one verdict.
    assert bars.with_verdicts("resilience", written) == written


def test_a_broken_bar_is_in_the_list_of_the_page() -> None:
    written = bars.with_verdicts("resilience", ROW.format("1"))
    assert "resilience, a reload: not met" in bars.not_met({"resilience": written})


def test_a_verdict_against_its_figures_is_noticed() -> None:
    written = bars.with_verdicts("resilience", ROW.format("1")).replace("not met", "met")
    ((_, table),) = [("resilience", found) for found in bars.tables("resilience", written)]
    ((_, row),) = table.rows
    assert row[bars.VERDICT] != bars.verdict(table.bar, row)
