"""Each case builds exactly the objects of its expected.yaml.

``UPDATE_GOLDEN=1 pytest tests/golden`` writes them anew: read the difference before committing. A
changed pod template restarts pods of every user and needs a line in CHANGELOG.md
(test_pod_templates.py asks for it).
"""

import difflib
import os
from pathlib import Path

import pytest
import yaml

from fastapi_operator.cli.render import document
from fastapi_operator.resources.desired import Desired, Gate, Write
from tests.golden.cases import CASES, load


def text_of(objects: tuple[Desired, ...]) -> str:
    """The objects as ``render`` prints them, each under a line that says how it is written."""
    return "\n".join(_described(item) for item in objects)


def _described(item: Desired) -> str:
    remarks = [str(item.part)]
    if item.write is Write.CREATE_ONCE:
        remarks.append("created once")
    if item.gate is not Gate.NONE:
        remarks.append(f"after {item.gate}")
    if item.hands_over_replicas:
        remarks.append("replicas handed over to an autoscaler")
    return f"# {' · '.join(remarks)}\n{document(item)}"


@pytest.mark.parametrize("name", CASES)
def test_case_builds_its_expected_objects(name: str) -> None:
    case = load(name)
    path = case.directory / "expected.yaml"
    built = text_of(case.objects)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(built)
    expected = path.read_text() if path.exists() else ""
    difference = "".join(
        difflib.unified_diff(
            expected.splitlines(keepends=True),
            built.splitlines(keepends=True),
            fromfile=str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else "",
            tofile="built now",
        )
    )
    assert not difference, f"\n{difference}\nIf it is meant: UPDATE_GOLDEN=1 pytest tests/golden"


@pytest.mark.parametrize("name", CASES)
def test_expected_file_is_yaml_that_says_the_same(name: str) -> None:
    case = load(name)
    documents = list(yaml.safe_load_all((case.directory / "expected.yaml").read_text()))
    assert documents == [yaml.safe_load(yaml.safe_dump(dict(item.body))) for item in case.objects]
