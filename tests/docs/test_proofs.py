"""Every test that a page names exists."""

import ast
import re

import pytest

from tests.docs.blocks import ROOT

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
    assert [number for number, _ in proofs] == [str(number) for number in range(1, 20)]
    for number, text in proofs:
        assert "::test_" in text, f"proof {number} names no test"
