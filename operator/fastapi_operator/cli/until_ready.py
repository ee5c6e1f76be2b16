"""Waits until a service is ready, and prints its changes."""

import asyncio
import time
from typing import Any

import typer

from fastapi_operator.cli import console
from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cli.state import CHECK_OPERATOR
from fastapi_operator.cluster import pods
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import SERVICE
from fastapi_operator.delivery.progress import Progress, Step
from fastapi_operator.parts import Part

_POLL_SECONDS = 1.0
# An operator that runs has seen a change long before.
_OPERATOR_SECONDS = 20.0
_LOG_LINES = 20
_CONTAINERS_SHOWN = 3


async def wait(cluster: Cluster, name: str, generation: int, *, seconds: float) -> str | None:
    """Waits until a generation of a service is ready.

    Returns:
        The URL of the service; None if it is not ready, after its cause was printed.
    """
    progress = Progress(generation)
    began = time.monotonic()
    is_noted = False
    while True:
        body = await _read(cluster, name)
        elapsed = time.monotonic() - began
        for step in progress.steps(body or {}):
            _print(step, elapsed)
        if body is None:
            console.print_error(f"{name} was deleted meanwhile")
            return None
        if progress.is_ready(body):
            return str((body.get("status") or {}).get("url") or "")
        failure = progress.failure(body)
        if not failure and elapsed > seconds and progress.is_in_canary(body):
            console.print_error(
                f"{name}: its canary still runs after {seconds:g} s (--timeout), and continues; "
                f"follow it with: {cluster.command('rollout', name)} --watch"
            )
            return None
        if failure or elapsed > seconds:
            reason = failure or f"not ready within {seconds:g} s (--timeout)"
            console.print_error(f"{name} is not ready: {reason}")
            if not is_noted and not progress.is_observed(body):
                _note_operator(name)
            await _print_logs(cluster, name, progress.unready())
            return None
        if elapsed > _OPERATOR_SECONDS and not is_noted and not progress.is_observed(body):
            is_noted = True
            _note_operator(name)
        await asyncio.sleep(_POLL_SECONDS)


async def _read(cluster: Cluster, name: str) -> dict[str, Any] | None:
    """Reads the service; an API server that restarts meanwhile does not end the wait."""
    for attempt in range(30):
        try:
            return await cluster.client.get(SERVICE, cluster.namespace, name)
        except ApiError as error:
            if not error.temporary:
                raise
            if attempt == 0:
                console.print_line(f"the API server is asked again: {error}", to_stderr=True)
        await asyncio.sleep(_POLL_SECONDS)
    return await cluster.client.get(SERVICE, cluster.namespace, name)


def _print(step: Step, elapsed: float) -> None:
    time_passed = typer.style(f"{elapsed:4.0f}s", **console.DIM)
    mark = "✓" if step.ready else "…"
    first, *more = step.text.splitlines() or [""]
    console.print_line(f"{time_passed} {mark} {step.part:<13} {first}".rstrip(), to_stderr=True)
    for line in more:
        console.print_line(f"{'':8}{line}", to_stderr=True)


def _note_operator(name: str) -> None:
    console.print_note(name, f"no operator has seen this change yet; {CHECK_OPERATOR}")


async def _print_logs(cluster: Cluster, name: str, unready: tuple[Part, ...]) -> None:
    """Prints the end of the logs of the containers that failed.

    That of a preflight is its report, whose message is the reason of the failure.
    """
    try:
        failed = [
            item
            for item in await pods.failed_containers(cluster.client, cluster.namespace, name)
            if item.part is not Part.PREFLIGHT and (not unready or item.part in unready)
        ]
        for item in failed[:_CONTAINERS_SHOWN]:
            text = await pods.end_of_log(cluster.client, cluster.namespace, item, lines=_LOG_LINES)
            title = f"last lines of {item.pod}, container {item.container}:"
            console.print_line(title, console.BOLD, to_stderr=True)
            for line in text.splitlines():
                console.print_line(f"  {line}", to_stderr=True)
    except ApiError as error:
        console.print_line(f"logs were not read: {error.message}", to_stderr=True)
