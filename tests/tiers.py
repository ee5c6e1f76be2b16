"""Runs the tiers of tests in order, shows each with its time budget, and prints the totals.

python -m tests.tiers [--thorough] [TIER ...]
"""

import argparse
import functools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tests import browser
from tests.cluster import binaries, failures, packages

ROOT = Path(__file__).resolve().parent.parent

# program -> Debian package; the tests of the app and of the templates run these servers
_SERVERS = {
    "/usr/lib/postgresql": "postgresql",
    "redis-server": "redis-server",
    "pgbouncer": "pgbouncer",
}


@dataclass(frozen=True)
class Tier:
    """One tier.

    Attributes:
        minutes: Its budget with all binaries cached; more is reported; a run fails only
            if all tiers together are over the limit.
        lanes: Its commands, from the root of the repository; pytest's get a report file. The
            commands of a lane run in order; lanes run at the same time.
        packages: Debian packages it needs, by the program that shows them.
    """

    minutes: int
    lanes: tuple[tuple[tuple[str, ...], ...], ...]
    packages: dict[str, str]


_PYTHON = sys.executable
# The app has its own environment, so that the operator cannot depend on FastAPI by accident.
_APP_PYTHON = str(ROOT / ".venv-app/bin/python")


def _app(project: str, tool: str, *arguments: str) -> tuple[str, ...]:
    """A tool of the app's environment, in the folder of a project."""
    return ("env", "-C", project, _APP_PYTHON, "-m", tool, *arguments)


# Workers run whole files, in the order of tests/long_files.py.
_BY_FILE = ("--dist=loadfile", "--no-loadscope-reorder")
_CHARTS = ("pytest", "tests/charts", "tests/docs", "-n2", *_BY_FILE)
_UNIT = ("tests/unit", "tests/golden", "tests/mutate", *_BY_FILE)
# Those of them that start servers or draw many examples, and the rest.
_SERVED = ("tests/unit/resources", "tests/unit/tuning")
_REST = ("pytest", *_UNIT, "-n2", *(f"--ignore={folder}" for folder in _SERVED))

TIERS = {
    "lint": Tier(
        2,
        (
            (("mypy",), ("ruff", "check", "."), ("ruff", "format", "--check", ".")),
            (("lint-imports",), (_PYTHON, "-m", "manifests.generate", "--check")),
        ),
        {},
    ),
    # Tests of servers wait more than they compute, so four fill two cores.
    "servers": Tier(4, ((("pytest", *_SERVED, "-n4", *_BY_FILE),),), _SERVERS),
    "app": Tier(
        5,
        (
            (_app("runtime", "pytest"), _app("runtime", "mypy")),
            (_app("sample-app", "pytest"), _app("sample-app", "mypy")),
            (
                # Checks that they run; `make bench-app` measures.
                _app("sample-app", "benchmarks", "--rounds", "2"),
                _app("sample-app", "benchmarks.faults", "--seconds", "1", "--together"),
                _app("sample-app", "benchmarks.startup", "--rounds", "2"),
                ("pytest", "tests/diagnosis"),
            ),
        ),
        _SERVERS,
    ),
    # Tests of an operator wait even more.
    "api": Tier(8, ((("pytest", "tests/api", "-n5", *_BY_FILE),),), {}),
    "node": Tier(
        12,
        (
            (("pytest", "tests/cluster/tests", "tests/e2e"),),
            # In the time that pods need to start and to end; the node comes first.
            (("nice", "-n10", *_CHARTS), ("nice", "-n10", *_REST)),
        ),
        _SERVERS,
    ),
}
# Parts of these tiers, to be run by themselves.
_LANES = {
    "unit": Tier(5, ((("pytest", *_UNIT, "-n4"),),), _SERVERS),
    "charts": Tier(5, ((_CHARTS,),), {}),
}
# Tiers that need more tools, and minutes to build them.
THOROUGH_TIERS = {
    "parts": Tier(10, ((("pytest", "tests/parts"),),), {}),
    "full": Tier(30, ((("pytest", "tests/full"),),), browser.PACKAGES),
    "helm4": Tier(
        15, ((("env", "HELM=4", "pytest", "tests/charts", "tests/full/test_lifecycle.py"),),), {}
    ),
}
_ALL = TIERS | _LANES | THOROUGH_TIERS
# The longest time of all tiers of `make test`, with the programs of the cluster cached and without.
_MINUTES_CACHED = 30
_MINUTES_COLD = 60


# Held to count results and to print, since lanes are threads.
_OUTCOMES = threading.Lock()


@dataclass
class Outcome:
    """The result of a tier."""

    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    names: list[str] = field(default_factory=list)


def main() -> int:
    """Runs the chosen tiers; after a failure the others still run, and the exit code is 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tiers", nargs="*", metavar="TIER", help=f"of {', '.join(_ALL)}")
    parser.add_argument(
        "--thorough", action="store_true", help="10,000 examples a property test; all tiers"
    )
    options = parser.parse_args()
    unknown = [name for name in options.tiers if name not in _ALL]
    if unknown:
        parser.error(f"unknown tier {unknown[0]!r}; known are {', '.join(_ALL)}")
    chosen = options.tiers or list(TIERS | THOROUGH_TIERS if options.thorough else TIERS)
    limit = _MINUTES_CACHED if binaries.are_cached() else _MINUTES_COLD
    outcomes = {name: _run(name, thorough=options.thorough) for name in chosen}
    _summarise(outcomes)
    late = not options.thorough and is_late(outcomes.values(), limit)
    if late:
        print(f"all tiers together took more than {limit} minutes")
    return 1 if late or any(outcome.failed for outcome in outcomes.values()) else 0


def _run(name: str, *, thorough: bool) -> Outcome:
    tier, outcome, began = _ALL[name], Outcome(), time.monotonic()
    try:
        packages.ensure(tier.packages)
    except failures.ClusterError as error:
        print(f"{name}: {error}", flush=True)
        outcome.failed += 1
        return outcome
    with ThreadPoolExecutor(len(tier.lanes)) as lanes:
        run = functools.partial(_lane, name, outcome, thorough=thorough)
        list(lanes.map(run, tier.lanes))
    outcome.seconds = time.monotonic() - began
    return outcome


def _lane(
    tier: str, outcome: Outcome, commands: tuple[tuple[str, ...], ...], *, thorough: bool
) -> None:
    for command in commands:
        with tempfile.TemporaryDirectory() as folder:
            _command(tier, command, Path(folder), outcome, thorough=thorough)


def _command(
    tier: str, command: tuple[str, ...], reports: Path, outcome: Outcome, *, thorough: bool
) -> None:
    """Runs one command; a test runner's report has its counts, another command counts as one."""
    title = f"\n=== {tier}: {' '.join(Path(part).name for part in command)}"
    program = Path(sys.executable).parent / command[0]
    arguments = [str(program) if program.exists() else command[0], *command[1:]]
    if "pytest" in command:
        arguments += [f"--junitxml={reports / 'report.xml'}", "--durations=5"]
        arguments += ["--hypothesis-profile=thorough", "--timeout=0"] if thorough else []
    environment = {
        **os.environ,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "REPORTS": str(reports),
    }
    # The first lane is shown as it runs.
    code = _shown(title, arguments, environment, at_its_end=command not in _ALL[tier].lanes[0])
    results, names = [], []
    for report in reports.glob("*.xml"):
        names += failed_tests(report)
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
            failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            results.append((tests - skipped - failed, failed, skipped))
    counted = [sum(numbers) for numbers in zip(*results, strict=True)] or [int(code == 0), 0, 0]
    with _OUTCOMES:
        outcome.passed += counted[0]
        # A runner that exits with an error but no failed test counts as one failure.
        outcome.failed += counted[1] or code != 0
        outcome.skipped += counted[2]
        outcome.names += names or ([" ".join(command)] if code else [])


def failed_tests(report: Path) -> list[str]:
    """Returns the failed tests of a report, each with the first line of its error."""
    found = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        for why in (*case.findall("failure"), *case.findall("error")):
            error = (why.get("message") or "").partition("\n")[0]
            found.append(f"{case.get('classname')}::{case.get('name')}: {error}")
    return found


def _shown(
    title: str, arguments: list[str], environment: dict[str, str], *, at_its_end: bool
) -> int:
    """Runs a command and returns its exit code; beside others, its output comes as one piece."""
    if not at_its_end:
        print(title, flush=True)
        return subprocess.run(arguments, cwd=ROOT, env=environment).returncode
    with tempfile.TemporaryFile("w+") as output:
        code = subprocess.run(
            arguments, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        ).returncode
        output.seek(0)
        with _OUTCOMES:
            print(f"{title}\n{output.read()}", flush=True)
    return code


def is_late(outcomes: Iterable[Outcome], limit_minutes: int) -> bool:
    """Returns whether all tiers together took longer than the limit."""
    return sum(outcome.seconds for outcome in outcomes) > 60 * limit_minutes


def _summarise(outcomes: dict[str, Outcome]) -> None:
    print(
        "\n=== tiers\n" + f"{'tier':10}{'passed':>8}{'failed':>8}{'skipped':>8}{'time':>10}  budget"
    )
    for name, outcome in outcomes.items():
        late = "  over budget" if outcome.seconds > 60 * _ALL[name].minutes else ""
        print(
            f"{name:10}{outcome.passed:8}{outcome.failed:8}{outcome.skipped:8}"
            f"{outcome.seconds:8.0f} s  {_ALL[name].minutes} min{late}"
        )
    passed, failed, skipped = (
        sum(getattr(outcome, field) for outcome in outcomes.values())
        for field in ("passed", "failed", "skipped")
    )
    # Once more at the end, since the output of a lane can be long.
    for name, outcome in outcomes.items():
        for failure in outcome.names:
            print(f"failed in {name}: {failure}")
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped", flush=True)


if __name__ == "__main__":
    sys.exit(main())
