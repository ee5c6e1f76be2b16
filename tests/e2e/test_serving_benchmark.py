"""The serving benchmark in its short form: every kind of variant serves, without an error."""

import re

from tests.benchmarks.serving import __main__ as benchmark

ROW = re.compile(
    r"^\| 1 \| database \| (?P<variant>[^|]+) \| (?P<rate>\d+) \| \d+ \| \d+ \| (?P<errors>\d+) \|",
    re.MULTILINE,
)


def test_the_short_benchmark_runs() -> None:
    told = benchmark.measured(benchmark.SHORT)
    rows = {row["variant"]: row for row in ROW.finditer(told)}
    assert {"tuned", "defaults", "article, 2 cores"} <= set(rows), told
    assert any(name.startswith("W=") for name in rows), told
    assert all(int(row["rate"]) > 0 and row["errors"] == "0" for row in rows.values()), told
    assert re.search(r"\| (holds|misses|inconclusive[^|]*) \|", told), told
