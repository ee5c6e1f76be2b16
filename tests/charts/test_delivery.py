"""The other shipped files: locks, the image's Dockerfile, and the reason for each library."""

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

from tests.charts.conftest import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
DOCKERFILES = [ROOT / "operator/Dockerfile", ROOT / "sample-app/Dockerfile"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_everything_by_hash_and_names_no_index(lock: Path) -> None:
    text = lock.read_text()
    entries = re.findall(r"^[a-z0-9].*(?:\n .*)*", text, re.MULTILINE)
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9._\[\]-]+==", entry), entry.partition("\n")[0]
        assert "--hash=sha256:" in entry
    for forbidden in ("://", "--index", "--find-links", "--trusted-host", " @ "):
        assert forbidden not in text


def test_the_image_runs_the_tested_versions() -> None:
    def pins(path: str) -> dict[str, str]:
        text = (ROOT / path).read_text()
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))

    assert pins("requirements/operator.txt").items() <= pins("requirements/dev.txt").items()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_runs_as_a_number_without_a_shell(dockerfile: Path) -> None:
    lines = dockerfile.read_text().splitlines()
    last_stage = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM")) :]
    assert "USER 10001:10001" in last_stage
    starts = [line for line in last_stage if line.startswith(("ENTRYPOINT", "CMD"))]
    assert starts
    assert all(re.match(r"(ENTRYPOINT|CMD) \[", line) for line in starts)
    assert not [line for line in last_stage if line.startswith("RUN")]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_all_that_an_image_copies_is_let_into_the_build(dockerfile: Path) -> None:
    text = re.sub(r"\\\n", " ", dockerfile.read_text())
    copied = {
        word
        for line in text.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    for name in (f"{dockerfile.relative_to(ROOT)}.dockerignore", ".dockerignore"):
        patterns = [
            line.removeprefix("!")
            for line in (ROOT / name).read_text().splitlines()
            if line.startswith("!")
        ]
        for path in copied:
            inside = [pattern for pattern in patterns if pattern.startswith(f"{path}/")]
            assert inside or any(fnmatch.fnmatch(path, pattern) for pattern in patterns), (
                f"{name} keeps {path} out"
            )


@pytest.mark.parametrize(
    "project", ["pyproject.toml", "runtime/pyproject.toml", "sample-app/pyproject.toml"]
)
def test_each_library_has_its_reason(project: str) -> None:
    data = tomllib.loads((ROOT / project).read_text())
    wanted = [
        *data["project"]["dependencies"],
        *(
            name
            for group in data["project"].get("optional-dependencies", {}).values()
            for name in group
        ),
        *(name for group in data.get("dependency-groups", {}).values() for name in group),
    ]
    names = {re.split(r"[\[<>=!~; ]", requirement)[0].lower() for requirement in wanted}
    text = (ROOT / "docs/decisions/0001-libraries.md").read_text()
    listed = text.partition("## Alternatives")[0]
    explained = {name.lower() for name in re.findall(r"\*\*([\w-]+)\*\*", listed)}
    ours = {name for name in names if name.startswith("fastapi-operator")}
    assert names - ours <= explained
