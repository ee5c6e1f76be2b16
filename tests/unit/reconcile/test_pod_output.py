"""The output of a failed process, over tracebacks of real programs: the cause first, no secrets.

tracebacks/ has the output of real runs: a settings class of pydantic-settings with two values from
a Secret, a statement of SQLAlchemy, a log directory on a read-only root, and a task group.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_operator.reconcile.observe.pod_output import (
    MESSAGE_MAX_LENGTH,
    describe_output,
    mask_credentials,
    shortened,
)

OUTPUTS = {file.stem: file.read_text() for file in (Path(__file__).parent / "tracebacks").iterdir()}
CAUSES = {
    "read_only": "OSError: [Errno 30] Read-only file system: '/code/src/app/logs'",
    "task_group": "OSError: [Errno 30] Read-only file system: '/code/src/app/logs'",
    "settings": "pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings "
    "workers Input should be a valid integer",
    "sqlalchemy": "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such table: users"
    " [SQL: insert into users (name, password) values (?, ?)]",
}
SECRETS = ("hunter2", "tok-s3cret", "s3cret-value")
LOGS = "kubectl logs shop-1 -c app --previous"
# The kubelet keeps the end of the output.
KEPT = 2048


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_comes_first_and_the_frames_follow(name: str) -> None:
    text = describe_output(OUTPUTS[name][-KEPT:], LOGS)
    assert text.startswith(CAUSES[name])
    assert len(text) <= MESSAGE_MAX_LENGTH
    assert ("remedy: the file system of the image is read-only" in text) is ("Errno 30" in text)


@pytest.mark.parametrize("name", CAUSES)
@pytest.mark.parametrize(
    "later",
    [
        "INFO:     Stopping parent process [1]\n",
        "[2026-01-01 00:00:00 +0000] [1] [ERROR] Worker (pid:7) exited with code 3.\n",
        '{"level": "info", "event": "stopped"}\n',
    ],
)
def test_log_records_after_a_traceback_do_not_hide_its_cause(name: str, later: str) -> None:
    assert describe_output(OUTPUTS[name] + later, LOGS).startswith(CAUSES[name])


def test_a_traceback_in_a_json_record_is_read() -> None:
    record = '{"event": "failed", "exception": "Traceback (most recent call last):\\n  File '
    record += '\\"a.py\\", line 1, in f\\n    g()\\nValueError: the cause"}'
    assert describe_output(record, LOGS).startswith("ValueError: the cause; after: Traceback")


def test_the_last_line_is_the_cause_without_a_traceback() -> None:
    text = describe_output("starting\nError: cannot bind to port 80", LOGS)
    assert text == "Error: cannot bind to port 80; after: starting"


def test_a_cut_text_ends_with_the_command_that_shows_the_rest() -> None:
    text = describe_output(OUTPUTS["read_only"], LOGS)
    assert text.endswith(f"(whole text: {LOGS})")
    assert "…" in text
    assert shortened("x" * 5000, LOGS) == "x" * (600 - 53) + f"… (whole text: {LOGS})"


@pytest.mark.parametrize("name", CAUSES)
def test_no_value_of_a_secret_is_shown_wherever_the_output_is_cut(name: str) -> None:
    output = OUTPUTS[name]
    for start in range(len(output)):
        text = describe_output(output[start:], LOGS, longest=10_000)
        for secret in SECRETS:
            assert secret not in text, output[start : start + 80]


@pytest.mark.parametrize(
    "text",
    [
        "[type=string_type, input_value='hunter2', input_type=str]",
        "[type=string_type, input_value={'a': 'x, y', 'b': ['hunter2']}, input_type=dict]",
        "[type=x, input_value='hun\nhunter2', input_type=str]",
        "[type=string_type, input_value='hunter2",
        "hunter2', input_type=str]",
        "{'type': 'int_parsing', 'loc': ('workers',), 'input': 'hunter2'}",
        '{"type": "int_parsing", "input": "hunter2"}',
        "invalid (input=hunter2)",
        "DB_PASSWORD=hunter2",
        "SECRET_KEY='hunter2 hunter2'",
        "{'api_token': 'hunter2', 'a': 1}",
        "Authorization: Bearer hunter2hunter2",
        "postgresql+asyncpg://app:hunter2@db/app",
        "[parameters: ('hunter2', 1)]",
    ],
)
def test_values_that_may_come_from_a_secret_are_masked(text: str) -> None:
    assert "hunter2" not in mask_credentials(text)
    assert "***" in mask_credentials(text)


@given(st.from_regex(r"[a-z][A-Z][0-9][a-zA-Z0-9]{29}", fullmatch=True))
def test_a_generated_value_is_masked(value: str) -> None:
    assert value not in mask_credentials(f"cannot use {value} here")
    assert value not in mask_credentials(f"cannot use '{value}'")
