"""The overload benchmark in its short form: what is not served is rejected, and nothing is lost."""

import re

from tests.benchmarks.overload import __main__ as benchmark

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
