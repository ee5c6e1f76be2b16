"""The serving benchmark in its short form: every kind of variant serves, without an error."""

import re

from tests.benchmarks.serving import __main__ as benchmark

ROW = re.compile(
    r"^\| 1 \| database \| (?P<variant>[^|]+) \| (?P<rate>\d+) \| \d+ \| \d+ \| (?P<errors>\d+) \|",
    re.MULTILINE,
)


def test_the_short_benchmark_runs() -> None:
    printed = benchmark.measured(benchmark.SHORT)
    rows = {row["variant"]: row for row in ROW.finditer(printed)}
    assert {"tuned", "defaults", "article, 2 cores"} <= set(rows), printed
    assert any(name.startswith("W=") for name in rows), printed
    assert all(int(row["rate"]) > 0 and row["errors"] == "0" for row in rows.values()), printed
    assert re.search(r"\| (met|not met|inconclusive[^|]*) \|", printed), printed
