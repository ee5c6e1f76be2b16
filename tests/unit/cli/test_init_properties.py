"""``init`` never writes a file that ``validate`` refuses, whatever the names in a project are."""

import json
import tempfile
from pathlib import Path

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from fastapi_operator.api.parse import load_services
from fastapi_operator.cli.validate import find_problems
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Severity
from fastapi_operator.project import draft
from fastapi_operator.project.needs import find_needs
from fastapi_operator.project.notes import notes
from fastapi_operator.project.reading import read_project
from fastapi_operator.project.source import ProjectError
from fastapi_operator.settings import Settings

# Words that YAML, a shell or a template reads as something else.
WORDS = st.sampled_from(
    ["true", "no", "null", "1e3", "0x1F", "~", "a: b", "# c", "{{ x }}", "'", '"', "é", "ß", "-"]
)
TEXT = st.one_of(WORDS, st.text(max_size=30), st.from_regex(r"[A-Za-z0-9_./:-]{1,300}"))
NAME = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,70}\Z")
SETTINGS = """
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic import Field
class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix={prefix})
    x: str = Field(validation_alias={alias})
    {field}: str
"""


@st.composite
def projects(draw: st.DrawFn) -> dict[str, str]:
    """Files of a project whose names and values are arbitrary."""
    text = {
        key: json.dumps(draw(TEXT))
        for key in ("name", "version", "prefix", "alias", "path", "word", "python")
    }
    module, name = draw(NAME), draw(NAME)
    main = (
        f"from fastapi import FastAPI\nimport asyncpg, celery\n{name} = FastAPI()\n"
        f"@{name}.get({text['path']} + '/health')\ndef health(): ...\n"
        f"@{name}.get('/' + 'x')\ndef other(): ...\n"
        f"queue_app = celery.Celery({text['word']})\n"
    )
    cmd = json.dumps(["sh", "-c", f"uvicorn {module}:{name} --port {draw(st.integers(0, 99999))}"])
    worker = json.dumps(draw(st.lists(TEXT, max_size=3)))
    return {
        f"{module}.py": main,
        "conf.py": SETTINGS.format(field=draw(NAME), **text),
        "pyproject.toml": f"[project]\nname = {text['name']}\nversion = {text['version']}\n"
        f"requires-python = {text['python']}\n",
        "Dockerfile": f"FROM python:3.14\nWORKDIR {draw(TEXT)}\nENV A={draw(TEXT)}\nCMD {cmd}\n",
        "compose.yaml": json.dumps(
            {
                "services": {
                    "w": {"build": ".", "command": ["celery", "worker", *json.loads(worker)]}
                }
            }
        ),
    }


@given(projects())
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate])
@example({"main.py": "from fastapi import FastAPI\napp = FastAPI()\n", "Procfile": "worker: rq '"})
def test_a_written_service_is_valid(files: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_text(content, errors="replace")
        try:
            project = read_project(Path(folder))
            needs = find_needs(project)
        except ProjectError:
            return  # no file is written
        text = draft.service(needs, notes(project, needs), "service.yaml")
    (body,) = load_services(text)
    problems = find_problems(body, Settings(), Facts())
    assert not [problem for problem in problems if problem.severity is Severity.ERROR], text
