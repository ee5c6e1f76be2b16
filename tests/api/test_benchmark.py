"""The operator's benchmark in its short form: its budgets of requests, and that it runs."""

import asyncio
import re
from pathlib import Path

from tests.benchmarks.operator import __main__ as benchmark


def test_the_short_benchmark_runs_and_its_budgets_hold(tmp_path: Path) -> None:
    rows = asyncio.run(benchmark.measure(benchmark.SHORT, tmp_path, None))
    cells = [[cell.strip() for cell in line.split("|")[1:4]] for line in rows.splitlines()[2:]]
    measured = {name: value for name, _, value in cells}
    extra = [value for name, _, value in cells if name == "… requests per service"]
    assert extra
    assert all(float(value.removeprefix("objects + ")) <= 2.0 for value in extra), rows
    rest = next(value for name, value in measured.items() if "at rest" in name)
    assert rest.startswith("0 writes, 0.000 requests"), rows
    restarted = next(value for name, value in measured.items() if "restart" in name)
    assert re.search(r"0 writes, .* 0 requests for services", restarted), rows
