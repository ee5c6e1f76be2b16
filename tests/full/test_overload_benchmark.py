"""The overload benchmark in its short form: requests are served or rejected, and none is lost."""

import re

from tests.benchmarks import bars
from tests.benchmarks.overload import __main__ as benchmark
from tests.benchmarks.overload import cells, comparison, rivals, tables

ROW = re.compile(
    r"^\| JSON, unmodified app \| (?P<load>[\d.]+) \| (?P<offered>\d+) \| (?P<served>\d+) \| \d+ "
    r"\| (?P<rejected>\d+) \| \d+ \| (?P<lost>\d+) \|.* "
    r"\| (?P<restarts>\d+) \| \d+ \| \d+ \|[^|]*\|$",
    re.MULTILINE,
)


def test_at_ten_times_its_capacity_a_service_serves_and_rejects() -> None:
    printed = benchmark.measured(benchmark.SHORT)
    rows = {float(row["load"]): row for row in ROW.finditer(printed)}
    assert set(rows) == set(benchmark.SHORT.multiples), printed
    largest = rows[max(rows)]
    assert int(largest["served"]) > 0, printed
    assert int(largest["rejected"]) > int(largest["served"]), printed
    assert int(largest["lost"]) < int(largest["rejected"]), printed
    assert largest["restarts"] == "0", printed


def test_servers_of_others_get_the_same_load_and_are_compared() -> None:
    printed = comparison.measured(comparison.SHORT)
    found = [
        dict(zip(tables.RIVALS, row, strict=True)) for row in bars.rows(printed, tables.RIVALS)
    ]
    rows = {(row["server"], row["load"]): row for row in found if row["work"] == "JSON"}
    names = {server.name for server in rivals.servers(1)}
    assert set(rows) == {(name, f"{load:g}") for name in names for load in cells.RIVAL_MULTIPLES}
    for load in cells.RIVAL_MULTIPLES:
        # Without its figures a row is empty, and this fails.
        (offered,) = {int(rows[name, f"{load:g}"]["offered/s"]) for name in names}
        assert offered > 0, printed
    assert all(int(rows[name, "1"]["served/s"]) > 0 for name in names), printed
    for ours in (rivals.OURS, rivals.OURS_UNMODIFIED):
        largest = rows[ours, "10"]
        assert int(largest["rejected/s"]) > int(largest["served/s"]) > 0, printed
        assert largest["restarts"] == "0", printed
