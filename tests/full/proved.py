"""python -m tests.full.proved [--resume] [FILE ...]

Runs the tests of each real controller, one file after the other, and writes a row into the table
of docs/proofs.md if all tests of the file passed and none was skipped. With ``--resume``, files
that passed today with the same versions are left out.
"""

import argparse
import datetime
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.benchmarks import bars, document
from tests.cluster import binaries, places
from tests.judges import modules
from tests.judges.controllers import CONTROLLERS

PAGE = places.REPOSITORY / "docs/proofs.md"
SECTION = "runs"
HEADINGS = ("real controller", "tests", "passed", "figures", "Kubernetes", "Python", "day")
# The name of a property of a test's report (pytest's record_property).
FIGURE = "figure"
# file of tests -> the controller that judges in it, and its module
JUDGED: Mapping[str, tuple[str, str]] = {
    "tests/e2e/test_network_policies.py": ("kube-router", CONTROLLERS["kube-router"].module),
    "tests/full/test_argo_cd.py": ("Argo CD", modules.ARGO_CD),
    "tests/full/test_certificates.py": ("cert-manager", modules.CERT_MANAGER),
    "tests/full/test_cloudnativepg.py": ("CloudNativePG", modules.CLOUDNATIVE_PG),
    "tests/full/test_flux.py": ("Flux's kustomize-controller", modules.FLUX),
    "tests/full/test_keda.py": ("KEDA", modules.KEDA),
}


@dataclass(frozen=True)
class Report:
    """The result of a file of tests.

    Attributes:
        passed: Tests that passed.
        others: Tests that failed, or were skipped.
        figures: Figures that the tests measured, in their order.
    """

    passed: int
    others: int
    figures: Sequence[str]

    @classmethod
    def read(cls, path: Path) -> "Report":
        """Reads a report in JUnit's format."""
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
        kinds = ("failure", "error", "skipped")
        others = [case for case in cases if any(case.find(kind) is not None for kind in kinds)]
        figures = [
            str(found.get("value"))
            for case in cases
            for found in case.iter("property")
            if found.get("name") == FIGURE
        ]
        return cls(len(cases) - len(others), len(others), figures)


def versions(path: str) -> tuple[str, str, str]:
    """The versions that a run of a file has: its controller, Kubernetes, Python."""
    name, module = JUDGED[path]
    number = module.rpartition("@v")[2]
    return f"{name} {number}", binaries.KUBERNETES.removeprefix("v"), platform.python_version()


def row(path: str, report: Report, day: datetime.date) -> list[str]:
    """The row of a file whose tests passed."""
    controller, kubernetes, python = versions(path)
    figures = "; ".join(report.figures)
    return [controller, f"`{path}`", str(report.passed), figures, kubernetes, python, str(day)]


def rows() -> dict[str, list[str]]:
    """The rows of the page, by their file."""
    text = document.read(SECTION, page=PAGE)
    return {cells[1].strip("`"): cells for cells in bars.rows(text, HEADINGS)}


def table(found: Mapping[str, Sequence[str]]) -> str:
    """The table of rows, in the order of the files."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(found[path] for path in sorted(found))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def is_current(cells: Sequence[str], path: str, day: datetime.date) -> bool:
    """Whether a row is of this day and these versions."""
    controller, kubernetes, python = versions(path)
    return [cells[0], *cells[4:]] == [controller, kubernetes, python, str(day)]


def prove(path: str) -> bool:
    """Runs a file; writes its row if all of its tests passed, and returns whether they did."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", path, f"--junitxml={report}"]
        # The other format has no properties.
        command += ["-o", "junit_family=xunit1"]
        code = subprocess.run(command, cwd=places.REPOSITORY).returncode
        found = Report.read(report)
    if code or found.others or not found.passed:
        print(f"{path}: {found.passed} passed, {found.others} did not", flush=True)
        return False
    new = row(path, found, datetime.datetime.now(datetime.UTC).date())
    document.replace(PAGE, SECTION, table(rows() | {path: new}))
    print(f"| {' | '.join(new)} |", flush=True)
    return True


def main() -> int:
    """Runs the chosen files; the exit code is 1 if a test failed or was skipped."""
    parser = argparse.ArgumentParser(prog="python -m tests.full.proved", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"of {', '.join(JUDGED)}")
    parser.add_argument("--resume", action="store_true", help="leave out files that passed today")
    options = parser.parse_args()
    unknown = [path for path in options.files if path not in JUDGED]
    if unknown:
        parser.error(f"unknown file {unknown[0]!r}; use one of {', '.join(JUDGED)}")
    day, known = datetime.datetime.now(datetime.UTC).date(), rows()
    chosen = [
        path
        for path in options.files or JUDGED
        if not (options.resume and path in known and is_current(known[path], path, day))
    ]
    # All of them run, also after a failure.
    passed = list(map(prove, chosen))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
