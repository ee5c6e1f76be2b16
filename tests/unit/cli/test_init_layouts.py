"""``init`` on projects as people write them: the service, the notes and the Dockerfile."""

import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fastapi_operator.cli.main import app
from tests import projects

UPDATE = bool(os.environ.get("UPDATE_LAYOUTS"))


def init(layout: projects.Layout, parent: Path) -> dict[str, str]:
    """Runs ``init``, and returns what it printed and wrote."""
    root = layout.write(parent)
    done = CliRunner().invoke(app, ["init", str(root)])
    place = f"{parent}/"
    if done.exit_code:
        assert isinstance(done.exception, SystemExit), done.exception
        return {"error": done.stderr.replace(place, "")}
    (service,) = root.rglob("service.yaml")
    body = yaml.safe_load(service.read_text())
    made = {"service": yaml.safe_dump(body, sort_keys=False, width=10_000)}
    begin = f"note: {body['metadata']['name']}: "
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    made["notes"] = "".join(f"{note.removeprefix(begin)}\n" for note in notes)
    if "Dockerfile\n" in done.stdout:
        made["Dockerfile"] = (service.parent / "Dockerfile").read_text()
    return made


@pytest.mark.parametrize("name", projects.names())
def test_a_project_becomes_a_valid_service(name: str, tmp_path: Path) -> None:
    layout = projects.layout(name)

    made = init(layout, tmp_path)

    if UPDATE:
        (projects.FOLDER / f"{name}.txt").write_text(layout.with_expected(made))
    else:
        assert made == layout.expected
    for service in tmp_path.rglob("service.yaml"):
        checked = CliRunner().invoke(app, ["validate", str(service)])
        assert checked.exit_code == 0, checked.stderr
