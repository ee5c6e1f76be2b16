"""Remedies for the output of real programs that fail."""

import os
import subprocess
from pathlib import Path

import pytest

from fastapi_operator.reconcile.observe.advice import advice
from fastapi_operator.reconcile.observe.pod_output import describe_output

APP_BIN = Path(__file__).resolve().parents[3] / ".venv-app/bin"
OWN_COMMAND = """
import uvicorn
from fastapi import FastAPI

app = FastAPI()
uvicorn.run(app, port=0)
"""


def output_of(*command: str, directory: Path, **variables: str) -> str:
    """The output of a program that must fail."""
    done = subprocess.run(
        [APP_BIN / command[0], *command[1:]],
        cwd=directory,
        env={"PATH": os.defpath, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("program", "remedy"),
    [
        (["python", "-c", OWN_COMMAND], 'uvicorn.run("main:app")'),
        (["uvicorn", "nothing:app"], "spec.app"),
        (["gunicorn", "os:nothing"], "spec.app"),
        (["uvicorn", "os:nothing"], "spec.app"),
        (["python", "-c", "raise ValueError"], ""),
        (["python", "-c", "import pwd; pwd.getpwuid(10001)"], "HOME and USER"),
    ],
)
def test_the_message_of_a_failed_program_has_the_field_to_change(
    tmp_path: Path, program: list[str], remedy: str
) -> None:
    workers = "2" if OWN_COMMAND in program else "1"
    output = output_of(*program, directory=tmp_path, WEB_CONCURRENCY=workers)
    message = describe_output(output, "kubectl logs x")
    assert (remedy in message and "; remedy: " in message) if remedy else "remedy" not in message


def test_a_program_that_the_image_does_not_have_on_its_path() -> None:
    # As containerd reports it.
    text = 'failed to create containerd task: exec: "uvicorn": executable file not found in $PATH'
    assert "ENV PATH=/app/.venv/bin:$PATH" in advice(text)


def test_an_agent_that_the_image_does_not_have() -> None:
    text = (
        'failed to create containerd task: exec: "ddtrace-run": executable file not found in $PATH'
    )
    assert "remove spec.observability.agent" in advice(text)


def test_a_table_that_the_role_of_the_app_cannot_create() -> None:
    text = "asyncpg.exceptions.InsufficientPrivilegeError: permission denied for schema public"
    assert "spec.postgres.migrations" in advice(text)
