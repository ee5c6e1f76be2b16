"""The check of a preflight, run as in a pod: its text is given to a Python, beside a project."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator.resources import preflight_check
from fastapi_operator.resources.preflight_check import Command

TEXT = Path(preflight_check.__file__).read_text()
APP = "async def app(scope, receive, send): ...\n"
# What pydantic-settings does, as far as the check looks at it.
SETTINGS = """
from pydantic import BaseModel, Field


class BaseSettings(BaseModel):
    pass


class Settings(BaseSettings):
    model_config = {"env_prefix": "shop_"}
    stripe_key: str
    other: int = Field(alias="OTHER_NUMBER")


settings = Settings()
"""
OPENAPI = """
class App:
    async def __call__(self, scope, receive, send): ...
    def openapi(self):
        return {"paths": {"/": {"get": {}}, "/items": {"get": {}, "post": {}}}}


class Middleware:
    def __init__(self, app): self.app = app
    async def __call__(self, scope, receive, send): ...


app = Middleware(App())
"""


@dataclass(frozen=True)
class Project:
    """A project in a folder, and the programs on its PATH."""

    folder: Path
    programs: Path

    def check(
        self,
        *command: str,
        files: dict[str, str],
        python: str = sys.executable,
        app: str = "",
        **options: Any,
    ) -> dict[str, Any]:
        """Runs the check; returns its report with its exit status."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        report = self.folder / "report"
        given = {
            "command": command or ("uvicorn", "main:app"),
            "app": app,
            "placeholders": [],
            "absent": [],
            "seconds": 20,
            **options,
        }
        result = subprocess.run(
            [python, "-c", TEXT, json.dumps(given)],
            cwd=self.folder,
            env={"PATH": f"{self.programs}:/usr/bin:/bin", "PREFLIGHT_REPORT": str(report)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert report.exists(), result.stderr
        assert len(report.read_bytes()) <= preflight_check.MESSAGE_BYTES
        return {**json.loads(report.read_text()), "status": result.returncode}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    programs = tmp_path / "bin"
    programs.mkdir()
    _script(programs / "uvicorn", sys.executable)
    return Project(tmp_path / "app", programs)


def _script(path: Path, python: str) -> None:
    path.write_text(f"#!{python}\n")
    path.chmod(0o755)


@dataclass(frozen=True)
class Fault:
    """A broken project, and its report."""

    reason: str
    words: str
    code: str = APP
    place: str = ""
    command: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


SECRETS = {"absent": ["Secrets"]}
FAILED = {
    "a missing module": Fault(
        "MissingModule", "No module named 'stripe'", f"\nimport stripe\n{APP}", "main.py:2"
    ),
    "a module that is missing in a package": Fault(
        "MissingModule",
        "No module named 'shop.db'",
        place="shop/main.py:1",
        command=("uvicorn", "shop.main:app"),
        files={"shop/__init__.py": "", "shop/main.py": "import shop.db\n"},
    ),
    "a missing module beside Secrets": Fault(
        "MissingModule", "stripe", "import stripe\n", "main.py:1", options=SECRETS
    ),
    "a syntax error": Fault("SyntaxError", "the image has Python", f"{APP}def x(:\n", "main.py:2"),
    "a name that a module lacks": Fault(
        "ImportFailed", "cannot import name 'nothing'", "from json import nothing\n", "main.py:1"
    ),
    "a library that is none": Fault(
        "MissingLibrary", "fast.so", "import fast\n", files={"fast.so": "not a library at all"}
    ),
    "a variable": Fault(
        "MissingVariable", "not set: KEY", 'import os\nos.environ["KEY"]\n', "main.py:2"
    ),
    "variables of settings": Fault(
        "MissingVariable", "SHOP_STRIPE_KEY, OTHER_NUMBER", SETTINGS, "main.py:15"
    ),
    "an unknown module of the app": Fault(
        "AppNotFound", "no module shop", command=("uvicorn", "shop.main:app")
    ),
    "an unknown attribute": Fault(
        "AppNotFound", "no attribute application", command=("uvicorn", "main:application")
    ),
    "an app that is none": Fault("AppNotFound", "of type int", "app = 1\n"),
    "a server that is not there": Fault(
        "ProgramNotFound", "gunicorn", command=("gunicorn", "main:app")
    ),
    "a server that is not a module": Fault(
        "MissingModule", "uvicorn", command=("python3", "-m", "uvicorn", "main:app")
    ),
    "a crash": Fault(
        "Crashed", "SIGSEGV", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        "main.py:2",
    ),
    "an error": Fault("ImportFailed", "ZeroDivisionError", "1 / 0\n", "main.py:1"),
}  # fmt: skip
UNKNOWN = {
    "a variable that a Secret may have": Fault(
        "MissingVariable", "has no Secrets", 'import os\nos.environ["KEY"]\n', options=SECRETS
    ),
    "an error from a placeholder": Fault(
        "ImportFailed",
        "ValueError",
        'int("preflight")\n',
        "main.py:1",
        options={"placeholders": ["KEY"]},
    ),
    "a module that a volume may have": Fault(
        "MissingModule", "has no volumes", "import stripe\n", options={"absent": ["volumes"]}
    ),
    "a connection": Fault(
        "NeedsConnection",
        "it tried 127.0.0.1:9",
        'import socket\nsocket.create_connection(("127.0.0.1", 9))\n',
        "main.py:2",
    ),
    "an import without end": Fault(
        "TooSlow", "within 1 s", "import time\ntime.sleep(60)\n", "main.py:2",
        options={"seconds": 1},
    ),
    "an exit": Fault("Exited", "status 3", "import os\nos._exit(3)\n"),
    "a command that names no app": Fault("AppUnknown", "spec.app", command=("uvicorn",)),
    "a shell": Fault("AppNotFound", "shop", command=("sh", "-c", "cd src && uvicorn shop:app")),
}  # fmt: skip


def _reported(project: Project, fault: Fault) -> dict[str, Any]:
    files = {"main.py": fault.code, **fault.files}
    report = project.check(*fault.command, files=files, **fault.options)
    assert report["reason"] == fault.reason, report
    assert fault.words in report["message"]
    assert report["place"].endswith(fault.place)
    return report


@pytest.mark.parametrize("name", FAILED)
def test_an_image_that_cannot_start_fails_with_the_place(project: Project, name: str) -> None:
    report = _reported(project, FAILED[name])
    assert (report["outcome"], report["status"]) == ("Failed", 1)


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_uncertain_fault_does_not_fail(project: Project, name: str) -> None:
    report = _reported(project, UNKNOWN[name])
    assert (report["outcome"], report["status"]) == ("Unknown", 0)


def test_an_app_is_described(project: Project) -> None:
    report = project.check(files={"main.py": OPENAPI})
    assert (report["outcome"], report["status"], report["routes"]) == ("Passed", 0, 3)
    assert report["python"] == ".".join(map(str, sys.version_info[:3]))
    assert 4 * 2**20 < report["memoryBytes"] < 200 * 2**20
    again = project.check(files={"main.py": OPENAPI.replace("/items", "/orders")})
    assert again["openapi"] != report["openapi"]


def test_an_openapi_document_that_fails_is_a_note(project: Project) -> None:
    code = OPENAPI.replace('return {"paths"', 'raise ValueError("x") or {"paths"')
    report = project.check(files={"main.py": code})
    assert report["outcome"] == "Passed"
    assert "ValueError: x" in report["note"]


def test_a_factory_is_called(project: Project) -> None:
    code = f"def create_app():\n    async {APP[6:-4]}pass\n    return app\n"
    files = {"main.py": code}
    assert project.check("uvicorn", "--factory", "main:create_app", files=files)["status"] == 0
    _script(project.programs / "gunicorn", sys.executable)
    assert project.check("gunicorn", "main:create_app()", files=files)["status"] == 0


def _pythons() -> list[str]:
    """The other Pythons of this machine that can run the check."""
    versions = [f"3.{minor}" for minor in range(8, 16)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}") for version in versions]
    found += [str(path) for v in versions for path in pyenv.glob(f"{v}.*/bin/python3")]
    return [path for path in found if path and "/shims/" not in path]


@pytest.mark.parametrize("python", _pythons())
def test_the_check_runs_with_other_pythons(project: Project, python: str) -> None:
    _script(project.programs / "uvicorn", python)
    files = {"main.py": 'match = 1\nimport typing\ntyping.override\nx: "int | None"\n' + APP}
    # It is started with this Python, and continues with that of the server.
    report = project.check(files=files)
    minor = int(report["python"].split(".")[1])
    assert report["outcome"] == ("Passed" if minor >= 12 else "Failed")
    assert project.check(files={"main.py": APP}, python=python)["outcome"] == "Passed"


@pytest.mark.parametrize(
    ("words", "program", "target", "direct"),
    [
        ("uvicorn shop.main:app --port 8000", "uvicorn", "shop.main:app", True),
        ("/venv/bin/gunicorn -b 0.0.0.0:80 shop:app", "/venv/bin/gunicorn", "shop:app", True),
        ("python -m uvicorn shop:app", "uvicorn", "shop:app", True),
        ("ddtrace-run uvicorn shop:app", "uvicorn", "shop:app", True),
        ("tini -- uvicorn shop:app", "uvicorn", "shop:app", True),
        ("uv run uvicorn shop:app", "uvicorn", "shop:app", False),
        ("python main.py", "", "given:app", False),
        ("fastapi run", "fastapi", "given:app", True),
        ("", "", "given:app", False),
    ],
)
def test_a_command_names_server_and_app(
    words: str, program: str, target: str, direct: bool
) -> None:
    command = Command(words.split(), "given:app")
    assert (command.program, command.target, command.is_direct) == (program, target, direct)


def test_the_kubelet_leaves_the_text_as_it_is() -> None:
    assert "$(" not in TEXT and "$$" not in TEXT
