"""Every test that a page names exists."""

import ast
import datetime
import re

import pytest

from tests.docs.blocks import ROOT
from tests.full import proved

PAGE = (ROOT / "docs/proofs.md").read_text()
APPS = (ROOT / "docs/apps.md").read_text()
NAMED = re.findall(r"`((?:tests|runtime)/[\w/.]+)::(\w+)`", PAGE + APPS)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_each_proof_has_a_test() -> None:
    proofs = re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |^## )", PAGE, re.MULTILINE | re.DOTALL)
    assert [number for number, _ in proofs] == [str(number) for number in range(1, 21)]
    for number, text in proofs:
        assert "::test_" in text, f"proof {number} names no test"


def test_each_run_names_existing_tests_and_the_versions_that_are_used() -> None:
    for path, cells in proved.rows().items():
        controller, _, passed, _, kubernetes, python, day = cells
        assert controller == proved.versions(path)[0], f"{path} has not run with this version"
        tree = ast.parse((ROOT / path).read_text())
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert int(passed) >= sum(name.startswith("test_") for name in names), path
        assert re.fullmatch(r"1\.\d+\.\d+", kubernetes)
        assert re.fullmatch(r"3\.\d+\.\d+", python)
        assert datetime.date.fromisoformat(day) <= datetime.datetime.now(datetime.UTC).date()
