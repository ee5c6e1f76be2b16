"""Processes that run beside the app, for example the workers of a queue and their scheduler.

A singleton is a StatefulSet. If a node is drained, a Deployment starts the next pod while the last
one still finishes its task; a StatefulSet waits until the last one has ended.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from fastapi_operator.api.schedule import Background
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects, pod
from fastapi_operator.resources.desired import Desired, Gate
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.process import process_name, process_template
from fastapi_operator.resources.variable import Process
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import BackgroundPlan


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the objects of ``spec.background``; all of them wait for the migration."""
    pairs = zip(inputs.spec.background or (), inputs.plan.background, strict=True)
    return tuple(
        desired
        for entry, plan in pairs
        for desired in _objects(dataclasses.replace(inputs, process=plan), entry, plan)
    )


def _objects(inputs: Inputs, entry: Background, plan: BackgroundPlan) -> Iterator[Desired]:
    name, least = process_name(inputs, Part.BACKGROUND, entry.name), plan.replicas.value
    most = least if plan.max_replicas is None else plan.max_replicas.value
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
            "replicas": least,
            "revisionHistoryLimit": figures.REVISIONS_KEPT,
            "minReadySeconds": figures.BACKGROUND_MIN_READY_SECONDS,
            **how,
            "selector": {"matchLabels": inputs.selector(Part.BACKGROUND)},
            "template": template,
        },
    }
    scaled = entry.scaling is not None
    yield Desired(Part.BACKGROUND, body, gate=Gate.MIGRATED, hands_over_replicas=scaled)
    if most > 1:
        yield objects.disruption_budget(inputs, Part.BACKGROUND, name)


def _rolling() -> tuple[str, dict[str, Any]]:
    """The kind of a workload with several pods, and the fields of its rollout."""
    rolling = {"maxSurge": f"{figures.SURGE_PERCENT}%", "maxUnavailable": 0}
    return "Deployment", {
        "progressDeadlineSeconds": figures.PROGRESS_DEADLINE_SECONDS,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
    }


def _one_at_most(name: str) -> tuple[str, dict[str, Any]]:
    """The kind of a workload with one pod, and the fields of its rollout."""
    # Parallel: a pod that never became ready must not block the update that fixes it.
    return "StatefulSet", {"serviceName": name, "podManagementPolicy": "Parallel"}


def _probes(entry: Background) -> dict[str, Any]:
    """Probes with one command: often during the start, rarely later, as it starts Python."""
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
