"""Whether anything notices: the golden cases, by their own tests."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests import projects
from tests.golden.cases import CASES
from tests.golden.test_golden import test_case_builds_its_expected_objects
from tests.golden.test_init import PROJECTS, test_project_gets_its_expected_files
from tests.mutate.mutations import Mutation
from tests.unit.cli.test_init_layouts import test_a_project_becomes_a_valid_service

_GOLDEN = Path(__file__).resolve().parents[1] / "golden"


class Judge:
    """Asks the cases that notice most first."""

    def __init__(self) -> None:
        # The longest expected file has the most lines to lose.
        longest = sorted(CASES, key=lambda name: -(_GOLDEN / name / "expected.yaml").stat().st_size)
        self._cases: dict[str, list[Callable[[], None]]] = {
            "objects": [partial(test_case_builds_its_expected_objects, name) for name in longest],
            "init": [
                *(partial(_init, name) for name in PROJECTS),
                *(partial(_layout, name) for name in projects.names()),
            ],
        }

    def notices(self, mutation: Mutation) -> bool:
        """Whether a test fails without it."""
        cases = self._cases[mutation.printed_by]
        with mutation.without():
            for case in cases:
                try:
                    case()
                except Exception:  # Whatever it is, the test fails by it.
                    # Its neighbours in a template most often need the same case.
                    cases.remove(case)
                    cases.insert(0, case)
                    return True
        return False


def _init(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        test_project_gets_its_expected_files(name, Path(folder))


def _layout(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        test_a_project_becomes_a_valid_service(name, Path(folder))
