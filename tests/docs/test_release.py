"""The release workflow, checked as text."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.docs import blocks
from tests.docs.blocks import ROOT
from tests.judges import programs

TEXT = (ROOT / ".github/workflows/release.yaml").read_text()
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
DEPLOY = ROOT / "docs/deploy.md"
DOCKERFILES = [
    "operator/Dockerfile",
    "sample-app/Dockerfile",
    *(path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("images/*/Dockerfile"))),
]


def lint(text: str) -> str:
    """Returns the findings of actionlint: syntax, expressions, contexts, jobs, runners, events."""
    # shellcheck is disabled, because it is not installed on every machine.
    command = [programs.program("actionlint", of="actionlint"), "-shellcheck=", "-pyflakes=", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True).stdout


def test_actionlint_has_no_findings() -> None:
    assert lint(TEXT) == ""
    assert "needs" in lint(TEXT.replace("needs: images", "needs: image"))


def test_actionlint_has_no_findings_in_the_example_of_a_pipeline() -> None:
    files = {name: text for block in blocks.blocks(DEPLOY) for name, text in block.files.items()}
    example = files[".github/workflows/deploy.yaml"]
    assert lint(example) == ""
    assert "undefined" in lint(example.replace("secrets.GITHUB_TOKEN", "secret.GITHUB_TOKEN"))


def test_every_script_is_shell() -> None:
    scripts = [
        step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step
    ]
    assert scripts
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stderr}\n{script}"


def test_each_action_is_pinned_to_a_commit() -> None:
    used = re.findall(r"uses: (\S+)", TEXT)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action


def test_a_job_has_only_the_rights_that_it_needs() -> None:
    assert WORKFLOW["permissions"] == {}
    for name, job in WORKFLOW["jobs"].items():
        assert "permissions" in job, name
    assert WORKFLOW["jobs"]["version"]["permissions"] == {"contents": "read"}


def test_no_script_interpolates_the_event() -> None:
    for job in WORKFLOW["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), step


def test_every_own_image_is_built_for_both_architectures() -> None:
    built = {
        row["dockerfile"] for row in WORKFLOW["jobs"]["images"]["strategy"]["matrix"]["include"]
    }
    assert built == set(DOCKERFILES)
    assert "linux/amd64,linux/arm64" in TEXT


def test_every_chart_is_pushed() -> None:
    charts = sorted(path.parent.name for path in ROOT.glob("charts/*/Chart.yaml"))
    assert f"for chart in {' '.join(charts)}; do" in TEXT


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yaml")), ids=lambda p: p.stem
)
def test_an_issue_form_is_valid(path: Any) -> None:
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_an_image_has_its_labels(dockerfile: str) -> None:
    text = (ROOT / dockerfile).read_text()
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in text
