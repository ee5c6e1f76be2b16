"""docs/platforms.md: each claim names an existing test, and each image its architectures."""

import ast
import re

import pytest

from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs/platforms.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)::(\w+)`", PAGE)))
_ROW = re.compile(r"^\| `([\w/.-]+)` \| (yes|probably) \| (.*) \|$", re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_section_has_what_was_run_or_read() -> None:
    for section in PAGE.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        assert "::test_" in text or "Read" in text, title


def test_each_image_has_its_architectures() -> None:
    lines = (ROOT / "manifests/images.txt").read_text().splitlines()
    images = [line.split()[0] for line in lines if line and not line.startswith("#")]
    listed = {name: known for name, _, known in _ROW.findall(PAGE)}
    assert set(listed) == {image.partition("/")[2].partition(":")[0] for image in images}
    workflow = (ROOT / ".github/workflows/release.yaml").read_text()
    assert "--platform linux/amd64,linux/arm64" in workflow
    ours = set(re.findall(r"\{name: ([\w-]+), dockerfile", workflow))
    for name, known in listed.items():
        built_here = name.startswith("fastapi-operator/")
        assert built_here == ("release workflow" in known), name
        assert not built_here or name.partition("/")[2] in ours, name
