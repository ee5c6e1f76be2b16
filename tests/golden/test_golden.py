"""Each case builds the objects of its expected.yaml: ``minimal`` and ``full`` all, others a subset.

``UPDATE_GOLDEN=1 pytest tests/golden`` updates the files; read the difference before you commit. An
update keeps the keys and the lines that a subset asserts and changes their values. To assert more,
add the key or the line and run the update. A changed pod template restarts the pods of every user
and needs a line in CHANGELOG.md (test_pod_templates.py checks that).
"""

import dataclasses
import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.cli.render import document
from fastapi_operator.resources.desired import Desired, Gate, Write
from tests.golden import expected
from tests.golden.cases import CASES, WHOLE, Case, documents_in, load

_INPUTS = {"service.yaml", "settings.yaml", "facts.yaml", "stage.yaml"}


def rebuilt(case: Case) -> dict[str, str]:
    """Returns the files of a case, by name, as they would be if they were right."""
    documents, texts = [], {}
    for wanted in _whole(case) if case.name in WHOLE else _subset(case):
        index = expected.object_of(wanted, [item.body for item in case.objects])
        if index is None:
            documents += [_absent(wanted)] if "absent" in wanted else []
            continue
        item = case.objects[index]
        body = expected.refreshed(wanted, item.body)
        documents.append(_described(dataclasses.replace(item, body=body)))
        for name, text in expected.files(wanted, item.body):
            path = case.directory / name
            excerpt = case.name not in WHOLE and path.exists()
            texts[name] = expected.refreshed_text(path.read_text(), text) if excerpt else text
    return {"expected.yaml": "\n".join(documents), **texts}


def _subset(case: Case) -> Iterator[Mapping[str, Any]]:
    yield from documents_in(case.directory / "expected.yaml")


def _whole(case: Case) -> Iterator[Mapping[str, Any]]:
    """Yields all objects, with a file of its own for each text of a ConfigMap."""
    seen: set[str] = set()
    for item in case.objects:
        body = dict(item.body)
        if item.key.kind == "ConfigMap":
            assert not seen & body["data"].keys(), "two ConfigMaps have a file of the same name"
            seen |= body["data"].keys()
            body["data"] = {name: {"file": name} for name in body["data"]}
        yield body


def _described(item: Desired) -> str:
    """Returns an object as ``render`` prints it, below a line with its part, write and gate."""
    remarks = [str(item.part)]
    if item.write is Write.CREATE_ONCE:
        remarks.append("created once")
    if item.gate is not Gate.NONE:
        remarks.append(f"after {item.gate}")
    if item.hands_over_replicas:
        remarks.append("replicas handed over to an autoscaler")
    return f"# {' · '.join(remarks)}\n{document(item)}"


def _absent(wanted: Mapping[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(wanted, sort_keys=False)}"


@pytest.mark.parametrize("name", CASES)
def test_case_builds_its_expected_objects(name: str) -> None:
    case = load(name)
    differences = []
    for file, text in rebuilt(case).items():
        path = case.directory / file
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text)
        differences += difflib.unified_diff(
            (path.read_text() if path.exists() else "").splitlines(keepends=True),
            text.splitlines(keepends=True),
            fromfile=f"tests/golden/{name}/{file}",
            tofile="built now",
        )
    difference = "".join(differences)
    assert not difference, (
        f"\n{difference}\nIf this is intended: UPDATE_GOLDEN=1 pytest tests/golden"
    )


@pytest.mark.parametrize("name", CASES)
def test_case_has_no_unused_file(name: str) -> None:
    case = load(name)
    assert {path.name for path in case.directory.iterdir()} <= {*_INPUTS, *rebuilt(case)}


@pytest.mark.parametrize("name", CASES)
def test_case_asserts_something(name: str) -> None:
    wanted = list(documents_in(Path(__file__).parent / name / "expected.yaml"))
    assert wanted
    assert all(item.keys() >= {"kind", "metadata"} for item in wanted)


def test_update_keeps_the_keys_that_a_subset_asserts(tmp_path: Path) -> None:
    case = load("proxy-limits")
    text = (case.directory / "expected.yaml").read_text().replace("160Mi", "96Mi")
    (tmp_path / "expected.yaml").write_text(text)
    (tmp_path / "nginx.conf").write_text("...\n    client_max_body_size 7m;\n...\n")
    files = rebuilt(dataclasses.replace(case, directory=tmp_path))
    assert files["expected.yaml"] == (case.directory / "expected.yaml").read_text()
    assert files["nginx.conf"] == "...\n    client_max_body_size 1m;\n...\n"
