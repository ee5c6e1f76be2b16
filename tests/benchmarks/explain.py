"""Measures the time of a plan, and of ``explain`` as a process.

    python -m tests.benchmarks.explain

Bytecode exists, as in an installation: a first run creates it.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fastapi_operator.api.documents import read_documents
from fastapi_operator.api.parse import parse_service
from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.benchmarks import document

SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"
ROUNDS = 21


def main() -> None:
    """Measures the samples in turn, so that each has the same load beside it."""
    names = ("minimal", "full")
    plans: dict[str, list[float]] = {name: [] for name in names}
    starts: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as bytecode:
        runs = {name: (_derive(name), _explain(name, bytecode)) for name in names}
        for _ in range(ROUNDS + 1):
            for name, (plan, start) in runs.items():
                plans[name].append(_milliseconds(plan))
                starts[name].append(_milliseconds(start))
    rows = [
        f"| `{name}.yaml` | {_summary(plans[name][1:])} | {_summary(starts[name][1:])} |"
        for name in names
    ]
    head = f"Python {sys.version.split()[0]}, {document.machine()}, {ROUNDS} interleaved rounds."
    table = [
        "| sample | a plan, ms: median (quartiles, minimum) | `explain`, ms |",
        "| --- | --- | --- |",
        *rows,
    ]
    text = "\n".join([head, "", *table])
    document.write("explain", text)
    print(text)


def _derive(name: str) -> Callable[[], object]:
    (found,) = read_documents((SAMPLES / f"{name}.yaml").read_text())
    service, problems = parse_service(found.body)
    assert service is not None, problems
    settings, facts = Settings(), Facts()
    return lambda: derive(service, settings, facts)


def _explain(name: str, bytecode: str) -> Callable[[], object]:
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    program = "from fastapi_operator.cli.main import main; main()"
    command = [sys.executable, "-c", program, "explain", "-f", str(SAMPLES / f"{name}.yaml")]
    return lambda: subprocess.run(command, env=environment, capture_output=True, check=True)


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def _summary(times: Sequence[float]) -> str:
    low, middle, high = statistics.quantiles(times, n=4)
    digits = 0 if middle >= 10 else 2
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f}, {min(times):.{digits}f})"


if __name__ == "__main__":
    main()
