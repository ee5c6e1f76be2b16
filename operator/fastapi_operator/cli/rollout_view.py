"""The lines of a rollout: both versions of a canary, or the state of a rolling update."""

import datetime
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import typer

from fastapi_operator.cli import console
from fastapi_operator.cli.state import unobserved
from fastapi_operator.reconcile.plan.preflight_status import figures_of

_BAR_CELLS = 24


class State(StrEnum):
    """Whether the newest spec of a service is released."""

    RELEASED = "released"
    RUNNING = "running"
    STOPPED = "stopped"


def state_of(body: Mapping[str, Any]) -> State:
    """Returns whether the newest spec is released, is on its way, or waits for a person."""
    conditions = _conditions(body)
    ready = conditions.get("Ready", {})
    if ready.get("observedGeneration") != body["metadata"]["generation"]:
        return State.RUNNING
    if conditions.get("Stalled", {}).get("status") == "True":
        return State.STOPPED
    canary = _canary(body)
    is_waiting = conditions.get("Reconciling", {}).get("reason") == "CanaryWaiting"
    # A trial of numbers begins after the release of the spec.
    is_of_spec = bool(canary) and not canary.get("trial")
    if is_of_spec or is_waiting or ready.get("status") != "True":
        return State.RUNNING
    return State.RELEASED


def lines_of(body: Mapping[str, Any], now: datetime.datetime) -> Iterator[str]:
    """Yields the lines of a rollout.

    Args:
        body: The FastAPIService.
        now: The current time.
    """
    name = typer.style(body["metadata"]["name"], **console.BOLD)
    canary, state = _canary(body), state_of(body)
    if not canary:
        yield f"{name}  {body['spec'].get('image', '')}  {state.value}"
        message = _message(body, state)
        if message:
            yield f"  {message}"
        yield from _image(body)
        return
    yield f"{name}  canary {canary['id']} of {canary['image']}  {canary['phase'].lower()}"
    since = datetime.datetime.fromisoformat(canary["since"])
    seconds = max(0, int((now - since).total_seconds()))
    if canary.get("trial"):
        yield f"  tries    {canary['trial']}"
    yield f"  step     {canary['step']} of {canary['steps']}, for {_duration(seconds)}"
    percent = int(canary["percent"])
    for version, share in (("canary", percent), ("stable", 100 - percent)):
        figures = _figures(canary.get(version))
        yield f"  {version:<8} {share:>3} %  {_bar(share)}  {figures}".rstrip()
    if canary.get("verdict"):
        yield f"  verdict  {canary['verdict']}"
    yield f"  next     {canary['next']}"
    yield from _image(body)
    if state is State.STOPPED:
        yield f"  {_message(body, state)}"


def _image(body: Mapping[str, Any]) -> Iterator[str]:
    """Yields the result of the preflight of the image."""
    found = (body.get("status") or {}).get("preflight") or {}
    figures = figures_of(found)
    if figures:
        yield f"  image    {figures}"
    if found.get("outcome") == "Unknown":
        yield f"  warning: {found.get('message', '')}"


def _canary(body: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (body.get("status") or {}).get("canary") or {}
    return found


def _conditions(body: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = (body.get("status") or {}).get("conditions") or ()
    return {str(item["type"]): item for item in found}


def _message(body: Mapping[str, Any], state: State) -> str:
    """Returns why the newest spec is not released."""
    if state is State.RELEASED:
        return ""
    conditions = _conditions(body)
    found = conditions.get("Stalled" if state is State.STOPPED else "Reconciling", {})
    if found.get("observedGeneration") != body["metadata"]["generation"]:
        return unobserved(body)
    reason, message = str(found.get("reason", "")), str(found.get("message", ""))
    return f"{reason}: {message}" if message else reason


def _bar(percent: int) -> str:
    # A share of one percent is not nothing.
    filled = min(_BAR_CELLS, -(-percent * _BAR_CELLS // 100))
    return "█" * filled + "░" * (_BAR_CELLS - filled)


def _figures(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return ""
    requests, errors = int(figures["requests"]), int(figures["errors"])
    share = 100 * errors / requests if requests else 0.0
    text = f"{requests:,} requests, {share:.2g} % errors"
    p95 = figures.get("p95Milliseconds")
    return f"{text}, p95 {p95} ms" if p95 is not None else text


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
