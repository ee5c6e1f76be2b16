"""Commands whose program listens, with the pooler in between."""

from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.problems import Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import service

WORKER = {
    "name": "tasks",
    "command": ["python3", "-m", "procrastinate", "-a", "shop.app", "worker"],
}
PATH = "spec.background[tasks].command"


def warnings(**spec: Any) -> dict[str, str]:
    """The warnings about LISTEN, by path, with their remedies."""
    problems = derive(service(**spec), Settings(), Facts()).problems
    found = [problem for problem in problems if "LISTEN" in problem.message]
    assert all(problem.severity is Severity.WARNING for problem in found)
    return {problem.path: problem.remedy for problem in found}


@pytest.mark.parametrize(
    "command",
    [
        WORKER["command"],
        ["/opt/venv/bin/pgq", "run", "shop.tasks:main"],
        ["sh", "-c", "exec procrastinate --app=shop.app worker"],
    ],
)
def test_a_program_that_listens_behind_the_pooler_is_a_warning(command: list[str]) -> None:
    found = warnings(postgres={}, background=[{**WORKER, "command": command}])
    assert "connections.database.direct" in found[PATH]


@pytest.mark.parametrize(
    "spec",
    [
        {"postgres": {}, "connections": {"database": {"direct": {"maxConnections": 2}}}},
        {"postgres": {"pooler": {"engine": "None"}}},
        {},
    ],
)
def test_a_program_that_can_listen_is_none(spec: dict[str, Any]) -> None:
    assert warnings(background=[WORKER], **spec) == {}


def test_another_program_is_none() -> None:
    worker = {**WORKER, "command": ["celery", "-A", "shop.tasks", "worker"]}
    assert warnings(postgres={}, background=[worker]) == {}
