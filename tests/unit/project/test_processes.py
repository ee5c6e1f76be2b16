"""The processes in a command, as a shell would start them."""

import pytest

from fastapi_operator.project.processes import in_command


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["uvicorn", "a:b"], ["uvicorn a:b"]),
        ("exec uvicorn a:b --port $PORT", ["uvicorn a:b --port $(PORT)"]),
        ("uvicorn a:b --port ${PORT:-8080}", ["uvicorn a:b --port 8080"]),
        ("export APP=a:b\nuvicorn $APP", ["uvicorn a:b"]),
        ("poetry run alembic upgrade head && poetry run uvicorn a:b", [
            "alembic upgrade head",
            "uvicorn a:b",
        ]),
        ("uv run --frozen --no-dev uvicorn a:b", ["uvicorn a:b"]),
        ("python -m uvicorn a:b", ["uvicorn a:b"]),
        (["sh", "-c", "cd src; gunicorn a:b \\\n -w 4"], ["cd src", "gunicorn a:b -w 4"]),
        ("bash -c 'sleep 5 && uvicorn a:b --reload'", ["sleep 5", "uvicorn a:b --reload"]),
        ("uvicorn a:b | tee log & arq c.D", ["uvicorn a:b", "tee log", "arq c.D"]),
        ("uvicorn a:b # in front", ["uvicorn a:b"]),
        (["dumb-init", "--", "uvicorn", "a:b"], ["uvicorn a:b"]),
        ("wait-for-it db:5432 -t 30 -- uvicorn a:b", ["uvicorn a:b"]),
        ("ddtrace-run opentelemetry-instrument uvicorn a:b", ["uvicorn a:b"]),
        ("/usr/local/bin/uvicorn a:b", ["uvicorn a:b"]),
        ("echo 'not closed", []),
        ("", []),
        (None, []),
        (["celery", "x\x00y"], []),
        (["celery", *["x"] * 100], []),
    ],
)  # fmt: skip
def test_a_command_starts(command: object, expected: list[str]) -> None:
    found = [" ".join(process.command) for process in in_command(command, "Dockerfile", {})]
    assert found == expected


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("gunicorn -b 0.0.0.0:80", "0.0.0.0:80"),
        ("gunicorn -b0.0.0.0:80", "0.0.0.0:80"),
        ("gunicorn --bind=0.0.0.0:80", "0.0.0.0:80"),
        ("gunicorn --bind 0.0.0.0:80", "0.0.0.0:80"),
        ("gunicorn --backlog 5", ""),
    ],
)
def test_an_option_is_read_in_each_spelling(command: str, value: str) -> None:
    (process,) = in_command(command, "Procfile", {})
    assert process.option("--bind", "-b") == value
