"""The files that ``init`` writes for typical projects, compared as a whole.

``UPDATE_GOLDEN=1 pytest tests/golden`` updates the expected files.
"""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fastapi_operator.cli.main import app

_MAIN = "from fastapi import FastAPI\n\napp = FastAPI()\n"
_FACTORY = "from fastapi import FastAPI\n\ndef create_app() -> FastAPI:\n    return FastAPI()\n"
_SETTINGS = """
from pydantic import SecretStr
from pydantic_settings import BaseSettings

class Settings(BaseSettings):
    stripe: SecretStr
    region: str
    page_size: int = 20
"""
_CELERY = """
from celery import Celery

queue = Celery("shop")
queue.conf.beat_schedule = {}
"""
PROJECTS = {
    # Everything that can be guessed.
    "packaged": {
        "pyproject.toml": '[project]\nname = "Book_Store"\nversion = "2.3.1"\n'
        'requires-python = ">=3.12,<3.14"\n'
        'dependencies = ["fastapi[standard]", "uvicorn", "asyncpg", "redis"]\n',
        "alembic.ini": "[alembic]\n",
        "Procfile": "web: uvicorn bookstore.main:create_app --factory --port 8080\n",
        "src/bookstore/__init__.py": "",
        "src/bookstore/main.py": f"import fastapi_operator_runtime\n{_FACTORY}",
        "src/bookstore/settings.py": _SETTINGS,
        "src/bookstore/tasks.py": _CELERY,
    },
    "tutorial": {"requirements.txt": "fastapi==0.141.1\n", "main.py": _MAIN},
    "bare": {"pyproject.toml": '[project]\nname = "billing"\n', "web.py": _MAIN},
}


def written(name: str, root: Path) -> str:
    """Returns both files for a project, one after the other."""
    for path, text in PROJECTS[name].items():
        (root / name / path).parent.mkdir(parents=True, exist_ok=True)
        (root / name / path).write_text(text)
    done = CliRunner().invoke(app, ["init", str(root / name)])
    assert done.exit_code == 0, done.stderr
    return "---\n".join((root / name / file).read_text() for file in ("service.yaml", "Dockerfile"))


@pytest.mark.parametrize("name", PROJECTS)
def test_project_gets_its_expected_files(name: str, tmp_path: Path) -> None:
    expected = Path(__file__).parent / "init" / f"{name}.txt"
    text = written(name, tmp_path)
    if os.environ.get("UPDATE_GOLDEN"):
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(text)
    assert text == expected.read_text(), "if this is intended: UPDATE_GOLDEN=1 pytest tests/golden"
