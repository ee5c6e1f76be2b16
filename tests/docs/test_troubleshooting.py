"""The page about troubleshooting describes every reason that a condition can have."""

import ast
import re
from collections.abc import Collection

import pytest

from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe import pod_diagnostics
from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs/troubleshooting.md").read_text()
# Functions that create a condition or a refusal; the reason is one of the arguments.
_MAKERS = {
    "Health", "Refusal", "_waiting", "Waiting", "_mark", "mark_stalled", "mark_reconciling",
}  # fmt: skip
# Those of them that stall a service at once. Failed Jobs do too, by their health.
_STALLING = {"Refusal", "mark_stalled"}
_OF_JOBS = {"MigrationFailed", "PreflightFailed"}
_REASON = re.compile(r"[A-Z][A-Za-z]+")
_NO_REASON = {"True", "False", "Unknown", "NotStalled", "Done", *pod_diagnostics._STARTING}


def reasons(makers: Collection[str] = _MAKERS) -> set[str]:
    """Returns the reasons in the code: arguments of a condition, or texts assigned to ``reason``.

    Args:
        makers: The functions whose arguments count; only with all of them, reasons of pods count.
    """
    found = set(pod_diagnostics._WEIGHT) if makers is _MAKERS else set()
    for path in (ROOT / "operator/fastapi_operator/reconcile").rglob("*.py"):
        if makers is not _MAKERS and path.stem == "pod_diagnostics":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _name(node.func) in makers:
                found |= _texts(*node.args)
            elif isinstance(node, ast.Assign) and _name(node.targets[0]) == "reason":
                found |= _texts(node.value)
    types = {part.condition for part in Part} | {"Ready", "Reconciling", "Stalled", "Overloaded"}
    return found - types - _NO_REASON


def _name(node: ast.expr) -> str:
    return str(getattr(node, "id", getattr(node, "attr", "")))


def _texts(*nodes: ast.expr) -> set[str]:
    """Returns texts of a single word: literals, operands of ``or``, values of a table."""
    plain = (ast.Constant, ast.BoolOp, ast.Call)
    return {
        text.value
        for node in nodes
        if isinstance(node, plain)
        for text in ast.walk(node)
        if isinstance(text, ast.Constant)
        and isinstance(text.value, str)
        and _REASON.fullmatch(text.value)
    }


@pytest.mark.parametrize("reason", sorted(reasons()))
def test_a_reason_has_its_entry(reason: str) -> None:
    assert re.search(rf"^\| [^|]*`{reason}`", PAGE, re.MULTILINE), f"describe {reason}"


@pytest.mark.parametrize("reason", sorted(reasons(_STALLING)))
def test_a_reason_that_stalls_at_once_is_marked(reason: str) -> None:
    assert re.search(rf"^\| `{reason}` \| yes \|", PAGE, re.MULTILINE)


def test_no_other_reason_is_marked() -> None:
    marked = re.findall(r"^\| `(\w+)` \| yes \|", PAGE, re.MULTILINE)
    assert set(marked) <= reasons(_STALLING) | _OF_JOBS


@pytest.mark.parametrize("part", Part)
def test_a_part_has_its_page_or_symptom(part: Part) -> None:
    assert f"`{part.condition}`" in PAGE


def test_every_reason_on_the_page_exists() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    theirs = set(re.findall(r"`(\w+)`", PAGE.partition("## Reasons of other controllers")[2]))
    sources = "".join(
        path.read_text() for path in (ROOT / "operator/fastapi_operator").glob("**/*.py")
    )
    assert {name for name in named - theirs if f'"{name}"' not in sources} == set()
