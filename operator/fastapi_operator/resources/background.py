"""Processes that run beside the app, such as the workers of a queue and their scheduler.

A singleton is a StatefulSet: a Deployment starts the next pod while the last one still finishes
its task on a node that is drained, a StatefulSet waits until it is gone.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from fastapi_operator.api.schedule import Background
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects, pod
from fastapi_operator.resources.desired import Desired, Gate
from fastapi_operator.resources.environment import Process
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.process import process_name, process_template
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import BackgroundPlan


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """The objects of ``spec.background``; all wait until the database's schema fits them."""
    pairs = zip(inputs.spec.background or (), inputs.plan.background, strict=True)
    return tuple(
        desired
        for entry, plan in pairs
        for desired in _objects(dataclasses.replace(inputs, process=plan), entry, plan)
    )


def _objects(inputs: Inputs, entry: Background, plan: BackgroundPlan) -> Iterator[Desired]:
    name, replicas = process_name(inputs, Part.BACKGROUND, entry.name), plan.replicas.value
    template = process_template(
        inputs,
        Part.BACKGROUND,
        Process.BACKGROUND,
        entry,
        grace_seconds=plan.grace_seconds.value,
        spread=not entry.singleton,
        probes=_probes(entry),
    )
    kind, how = _one_at_most(name) if entry.singleton else _rolling()
    body = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": objects.metadata(inputs, Part.BACKGROUND, name),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": figures.REVISIONS_KEPT,
            "minReadySeconds": figures.BACKGROUND_MIN_READY_SECONDS,
            **how,
            "selector": {"matchLabels": inputs.selector(Part.BACKGROUND)},
            "template": template,
        },
    }
    yield Desired(Part.BACKGROUND, body, gate=Gate.MIGRATED)
    if replicas > 1:
        yield objects.disruption_budget(inputs, Part.BACKGROUND, name)


def _rolling() -> tuple[str, dict[str, Any]]:
    """The kind of a workload that may have several pods, and the fields that say how it rolls."""
    rolling = {"maxSurge": f"{figures.SURGE_PERCENT}%", "maxUnavailable": 0}
    return "Deployment", {
        "progressDeadlineSeconds": figures.PROGRESS_DEADLINE_SECONDS,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
    }


def _one_at_most(name: str) -> tuple[str, dict[str, Any]]:
    """The same for a singleton."""
    # Parallel: a pod that never became ready must not block the update that mends it.
    return "StatefulSet", {"serviceName": name, "podManagementPolicy": "Parallel"}


def _probes(entry: Background) -> dict[str, Any]:
    """One command, asked often at the start and seldom after: it starts an interpreter."""
    if entry.liveness_command is None:
        return {}
    handler = {"exec": {"command": list(entry.liveness_command)}}
    return {
        "startupProbe": pod.probe(
            handler,
            period=figures.COMMAND_START_PERIOD_SECONDS,
            attempts=figures.COMMAND_START_ATTEMPTS,
            timeout=figures.COMMAND_PROBE_TIMEOUT_SECONDS,
        ),
        "livenessProbe": pod.probe(
            handler,
            period=figures.COMMAND_PROBE_PERIOD_SECONDS,
            attempts=figures.COMMAND_PROBE_ATTEMPTS,
            timeout=figures.COMMAND_PROBE_TIMEOUT_SECONDS,
        ),
    }
