"""Commands that start several processes by themselves."""

from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import service

CELERY = ["celery", "-A", "shop.tasks", "worker"]


def plan(**spec: Any) -> Plan:
    return derive(service(**spec), Settings(), Facts())


def of_worker(command: list[str], **entry: Any) -> tuple[int, list[str]]:
    """The planned processes of a worker, and the problems of its entry."""
    found = plan(background=[{"name": "worker", "command": command, **entry}])
    about = [str(item) for item in found.problems if "background" in item.path]
    return found.background[0].processes.value, about


@pytest.mark.parametrize(
    ("command", "processes"),
    [
        (CELERY, 1),
        ([*CELERY, "--concurrency", "4"], 4),
        ([*CELERY, "--concurrency=4"], 4),
        ([*CELERY, "-c4"], 4),
        (["/app/.venv/bin/celery", *CELERY[1:], "-c", "4"], 4),
        (["sh", "-c", "exec celery -A shop.tasks worker -c 4"], 4),
        ([*CELERY, "--autoscale=10,3", "-c", "4"], 10),
        # Threads in one process.
        ([*CELERY, "--pool", "threads", "-c", "100"], 1),
        (["dramatiq", "-P", "src", "--processes", "3", "shop.tasks"], 3),
        (["taskiq", "worker", "shop.tasks:broker"], 2),
        (["arq", "shop.tasks.Worker"], 1),
    ],
)
def test_the_plan_has_the_processes_that_a_command_starts(
    command: list[str], processes: int
) -> None:
    assert of_worker(command) == (processes, [])


def test_a_command_that_starts_another_number_is_a_warning_with_its_option() -> None:
    _, (problem,) = of_worker([*CELERY, "-c", "4"], processes=2)
    assert problem.startswith("spec.background[worker].processes: the command starts 4 processes")
    assert problem.endswith("set 4, or --concurrency 2 in the command")
    # The variable of Celery sets the number.
    assert of_worker(CELERY, processes=2) == (2, [])
    _, (problem,) = of_worker(["dramatiq", "shop.tasks"])
    assert "one process for each core of the node" in problem
    assert problem.endswith("add --processes 1 to the command")


@pytest.mark.parametrize(
    ("command", "workers"),
    [
        (["python", "main.py"], 1),
        (["./start.sh"], 1),
        (["python", "-m", "uvicorn", "shop.main:app"], 2),
        (["sh", "-c", "python -m prestart && exec gunicorn shop.main:app"], 2),
        (["uv", "run", "--no-sync", "fastapi", "run"], 2),
    ],
)
def test_only_a_command_that_names_a_server_gets_several_workers(
    command: list[str], workers: int
) -> None:
    two_cores = {"requests": {"cpu": "2"}}
    found = plan(command=command, resources=two_cores)
    assert found.server.workers.value == workers
    assert len([p for p in found.problems if p.path == "spec.command"]) == int(workers == 1)
    declared = plan(command=command, resources=two_cores, server={"workerPolicy": "Quota"})
    assert declared.server.workers.value == 2
    assert not [p for p in declared.problems if p.path == "spec.command"]


def test_an_agent_cannot_start_before_the_command_of_the_image() -> None:
    agent = {"agent": {"engine": "Datadog", "secretRef": {"name": "datadog"}}}
    path = "spec.observability.agent"
    (problem,) = (p for p in plan(command=[], observability=agent).problems if p.path == path)
    assert "command: []" in problem.message
    for command in (None, ["python", "main.py"]):
        found = plan(command=command, observability=agent)
        assert not [p for p in found.problems if p.path == path]
