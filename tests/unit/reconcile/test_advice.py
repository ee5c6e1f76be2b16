"""Remedies for the output of real programs that fail."""

import datetime
import os
import subprocess
from pathlib import Path

import pytest

from fastapi_operator.reconcile.observe.advice import advice
from fastapi_operator.reconcile.observe.pod_diagnostics import diagnose
from fastapi_operator.reconcile.observe.pod_output import describe_output

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
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


def message(output: str) -> str:
    """The message about a pod whose app ended with an output."""
    ended = {"terminated": {"exitCode": 1, "message": output}}
    container = {"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    status = {"containerStatuses": [{**container, "ready": False, "lastState": ended}]}
    health = diagnose([{"metadata": {"name": "shop-1"}, "status": status}], NOW)
    assert health is not None
    return health.message


@pytest.mark.parametrize(
    ("output", "field"),
    [
        (
            "sqlalchemy.exc.InvalidRequestError: The asyncio extension requires an async driver to "
            "be used. The loaded 'psycopg2' is not async.",
            "spec.connections.database.driver",
        ),
        ("ModuleNotFoundError: No module named 'psycopg2'", "spec.connections.database.driver"),
        (
            "asyncpg.exceptions._base.ClientConfigurationError: invalid DSN: scheme is expected to "
            'be either "postgresql" or "postgres", got \'postgresql+asyncpg\'',
            "remove spec.connections.database.driver",
        ),
        (
            "pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings\n"
            "POSTGRES_SERVER\n  Field required [type=missing, input_value={'A': 'b'}, "
            "input_type=dict]\nPOSTGRES_USER\n  Field required [type=missing, input_value={'A': "
            "'b'}, input_type=dict]",
            "spec.connections",
        ),
        ("KeyError: 'CELERY_BROKER_URL'", "spec.connections"),
        (
            "redis.exceptions.AuthenticationError: invalid username-password pair or user is "
            "disabled. WRONGPASS",
            "user: Default",
        ),
        (
            'psycopg.errors.InvalidSqlStatementName: prepared statement "plan" does not exist',
            "spec.connections.database.direct",
        ),
        (
            "psycopg.OperationalError: connection failed: FATAL:  unsupported startup parameter in "
            "options: search_path",
            "spec.connections.database.direct",
        ),
        ("asyncpg.exceptions.ProtocolViolationError: SASL authentication failed", "DATABASE_URL"),
    ],
)
def test_the_output_of_an_app_that_does_not_connect_has_a_remedy(output: str, field: str) -> None:
    traceback = f'Traceback (most recent call last):\n  File "a.py", line 1\n    x()\n{output}\n'
    assert field in message(traceback).partition("; remedy: ")[2]


@pytest.mark.parametrize(
    "output",
    [
        "pydantic_core.ValidationError: 1 validation error for Settings\nSECRET_KEY\n"
        "  Field required [type=missing, input_value={}, input_type=dict]",
        "KeyError: 'item'",
        "ModuleNotFoundError: No module named 'shop'",
    ],
)
def test_another_error_has_none_of_these_remedies(output: str) -> None:
    assert "spec.connections" not in message(output)
