"""Celery's own habits: a process for each core of the node, and a file for its schedule."""

import ast
import re

from fastapi_operator.project import syntax
from fastapi_operator.project.processes import Process
from fastapi_operator.project.source import Project

_PROCESSES = 2
_MAX_PROCESSES = 32
# Pools that run tasks in one process.
_THREADED = ("solo", "threads", "gevent", "eventlet")
# The root of the file system is read-only.
_SCHEDULE_FILE = "/tmp/celerybeat-schedule"  # noqa: S108 (the pod's own emptyDir)
# Files that a worker writes, also on the read-only file system.
_WRITES = ("--logfile", "-f", "--pidfile", "--statedb")
_SCHEDULES = ("beat_schedule", "add_periodic_task")


def worker(project: Project, process: Process) -> tuple[tuple[str, ...], int]:
    """Returns a worker's command with its number of processes, and the number."""
    command = _without_files(process.command)
    if process.option("--pool", "-P") in _THREADED:
        return command, 1
    autoscale = re.match(r"[0-9]+", process.option("--autoscale"))
    given = autoscale.group() if autoscale else process.option("--concurrency", "-c")
    if re.fullmatch(r"[0-9]{1,2}", given) and 0 < int(given) <= _MAX_PROCESSES:
        return command, int(given)
    number = _configured(project) or _PROCESSES
    # The last one is used, if the command has one that is not a number.
    return (*command, f"--concurrency={number}"), number


def beat(command: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the scheduler's command with a file that it can write."""
    command = _without_files(command)
    chosen = any(word.startswith(("--schedule", "-s", "-S")) for word in command)
    return command if chosen else (*command, f"--schedule={_SCHEDULE_FILE}")


def _without_files(command: tuple[str, ...]) -> tuple[str, ...]:
    """Removes the options that write a file: logs are in the output of the pod."""
    kept: list[str] = []
    for place, word in enumerate(command):
        is_option = word.partition("=")[0] in _WRITES
        is_value = place > 0 and command[place - 1] in _WRITES
        if not (is_option or is_value):
            kept.append(word)
    return tuple(kept)


def schedule(project: Project) -> str:
    """Returns where the code has periodic tasks; empty if it has none."""
    for module in project.code:
        for node in ast.walk(module.tree):
            name = node.arg if isinstance(node, ast.keyword) else ""
            if isinstance(node, ast.Attribute | ast.Name):
                name = syntax.last_name(node)
            if name in _SCHEDULES:
                return f"{name} in {module.path}"
    return ""


def _configured(project: Project) -> int:
    """Returns ``worker_concurrency`` of the code; 0 if it is not a number there."""
    for module in project.code:
        for node in ast.walk(module.tree):
            value: ast.expr | None = None
            if isinstance(node, ast.keyword) and node.arg == "worker_concurrency":
                value = node.value
            elif isinstance(node, ast.Assign):
                named = syntax.last_name(node.targets[0]) == "worker_concurrency"
                value = node.value if named else None
            if isinstance(value, ast.Constant) and isinstance(value.value, int):
                return min(max(value.value, 1), _MAX_PROCESSES)
    return 0
