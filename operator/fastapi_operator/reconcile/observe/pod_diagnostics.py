"""The reasons why the pods of an unready workload are not ready, from their own statuses.

Pods are not watched. If a workload is unready for three seconds, its pods are listed, and listed
again at growing intervals while it stays unready. If the workload is new or was changed, a person
may be waiting, so that a problem of its pods is reported within 15 s.
"""

import datetime
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator import naming, quantity
from fastapi_operator.api.guards import APP_CONTAINER
from fastapi_operator.cluster.kinds import CRON_JOB, DEPLOYMENT, JOB, STATEFUL_SET
from fastapi_operator.parts import PROBES, Part
from fastapi_operator.reconcile.observe.advice import advice
from fastapi_operator.reconcile.observe.observed import Child, Health
from fastapi_operator.reconcile.observe.pod_output import (
    describe_output,
    mask_credentials,
    shortened,
)
from fastapi_operator.resources.desired import Desired, ObjectKey
from fastapi_operator.resources.footprint import requests_of

FIRST_CHECK_SECONDS = 3.0
YOUNG_SECONDS = 600.0
YOUNG_CHECK_CEILING_SECONDS = 6.0
CHECK_CEILING_SECONDS = 300.0
# Imports take seconds on a throttled CPU, and each pod of a rollout starts once. With a check at
# least every 6 s, a probe that never succeeds is still reported within 15 s.
STARTING_SECONDS = 8.0
PODS_LISTED = 20
# The resources that the scheduler names, and their words in a message.
_SCHEDULED = {"cpu": "CPU", "memory": "memory"}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

WORKLOADS = frozenset({DEPLOYMENT.kind, STATEFUL_SET.kind, JOB.kind, CRON_JOB.kind})

Body = Mapping[str, Any]


def diagnose(
    pods: Iterable[Body], now: datetime.datetime, template: Body | None = None
) -> Health | None:
    """Returns the worst problem of the pods of the wanted revision; None if no pod has one.

    Args:
        pods: The pods of a workload, also those of older revisions.
        now: The current time.
        template: The desired pod template; None if every pod counts.
    """
    wanted = _of_wanted_revision(list(pods), template) if template else pods
    found = [health for pod in wanted if (health := _pod(pod, now)) is not None]
    return max(
        found, key=lambda health: (health.failed, _WEIGHT.get(health.reason, 0)), default=None
    )


def pod_selector(desired: Desired) -> str:
    """Returns the label selector of a workload's pods."""
    if desired.key.kind == JOB.kind:
        return f"batch.kubernetes.io/job-name={desired.key.name}"
    spec = desired.body["spec"]
    if desired.key.kind == CRON_JOB.kind:
        labels = spec["jobTemplate"]["metadata"]["labels"]
    else:
        labels = spec["selector"]["matchLabels"]
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def image_digest(status: Body) -> str:
    """Returns the digest of the image that a container runs; empty if its status has none."""
    match = _DIGEST.search(status.get("imageID", ""))
    return match.group() if match else ""


def is_pod_of(pod: Body, kind: str, name: str) -> bool:
    """Whether a pod with the labels of a workload is its own.

    Labels are copied: a pod with another controller may have all of them. A pod without any
    controller counts, because the workload adopts it.
    """
    metadata = pod["metadata"]
    references = metadata.get("ownerReferences") or ()
    controller = next((item for item in references if item.get("controller")), None)
    if controller is None:
        return True
    owner = (controller.get("kind"), controller.get("name"))
    if kind == CRON_JOB.kind:
        return owner[0] == JOB.kind and str(owner[1]).startswith(f"{name}-")
    if kind == DEPLOYMENT.kind:
        revision = (metadata.get("labels") or {}).get("pod-template-hash")
        return owner == ("ReplicaSet", f"{name}-{revision}")
    return owner == (kind, name)


def template_of(desired: Desired) -> Body | None:
    """Returns the pod template of a Deployment or StatefulSet; None for other workloads."""
    if desired.key.kind not in (DEPLOYMENT.kind, STATEFUL_SET.kind):
        return None
    template: Body | None = desired.body.get("spec", {}).get("template")
    return template


def _of_wanted_revision(pods: list[Body], template: Body) -> list[Body]:
    """Returns the pods that were made from a template; if none was yet, those made last.

    A policy of the cluster may change pods when they are created. Then no pod is as the template,
    and the newest revision is the wanted one.
    """
    wanted = [pod for pod in pods if _is_made_from(pod, template)]
    if wanted or not pods:
        return wanted
    newest = max(pods, key=lambda pod: pod["metadata"].get("creationTimestamp") or "")
    return [pod for pod in pods if _revision(pod) == _revision(newest)]


def _is_made_from(pod: Body, template: Body) -> bool:
    annotations = pod["metadata"].get("annotations") or {}
    wanted_annotations = template.get("metadata", {}).get("annotations") or {}
    if any(annotations.get(name) != value for name, value in wanted_annotations.items()):
        return False
    actual = {item["name"]: item for item in pod.get("spec", {}).get("containers", ())}
    return all(
        _has_fields(actual.get(wanted["name"], {}), wanted)
        for wanted in template["spec"]["containers"]
    )


def _has_fields(actual: Body, wanted: Body) -> bool:
    """Whether a container has the image, command and environment of a template."""
    if actual.get("image") != wanted.get("image"):
        return False
    if any(list(actual.get(n) or ()) != list(wanted.get(n) or ()) for n in ("command", "args")):
        return False
    variables = {item["name"]: item.get("value") for item in actual.get("env") or ()}
    return all(
        variables.get(item["name"]) == item["value"]
        for item in wanted.get("env") or ()
        if "value" in item
    )


def _revision(pod: Body) -> Any:
    labels = pod["metadata"].get("labels") or {}
    return labels.get("pod-template-hash") or labels.get("controller-revision-hash")


_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
# A pod runs for a while between two crashes, so a check without a problem does not mean a repair.
_CRASHES = frozenset({"CrashLoopBackOff", "Failed", "OOMKilled"})
# No pod was created, or no node has room for it.
NEVER_RUNS = frozenset({"FailedCreate", "Unschedulable"})
_WEIGHT = {
    "ImagePullBackOff": 8,
    "ErrImagePull": 8,
    "InvalidImageName": 8,
    "CreateContainerConfigError": 7,
    "CrashLoopBackOff": 6,
    "OOMKilled": 6,
    "Failed": 5,
    "Unschedulable": 4,
    "ProbeFailing": 2,
}


def _pod(pod: Body, now: datetime.datetime) -> Health | None:
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    namespace = pod["metadata"].get("namespace")
    option = f" -n {namespace}" if namespace else ""
    describe = f"kubectl describe pod {name}{option}"
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            reason = condition.get("reason", "Unschedulable")
            text = shortened(mask_credentials(condition.get("message", "")), describe)
            return Health(False, reason, f"pod {name}: {text}{_room(pod, text)}", True)
    containers = [
        # First, since a sidecar may end with an error only because they have ended.
        *(status.get("containerStatuses") or ()),
        *(status.get("initContainerStatuses") or ()),
    ]
    specs = {spec["name"]: spec for spec in pod.get("spec", {}).get("containers", ())}
    found = [
        health
        for state in containers
        if (health := _container(name, option, state, specs, now)) is not None
    ]
    if found:
        return max(found, key=lambda health: (health.failed, _WEIGHT.get(health.reason, 0)))
    if status.get("phase") == "Failed":
        text = shortened(mask_credentials(status.get("message", "") or "failed"), describe)
        return Health(False, status.get("reason") or "Failed", f"pod {name}: {text}", True)
    return None


def _room(pod: Body, message: str) -> str:
    """Returns what a pod requests, and how to request less, if no node has room for it."""
    missing = [kind for kind in _SCHEDULED if f"Insufficient {kind}" in message]
    if not missing:
        return ""
    requests = tuple(requests_of(pod["spec"]))
    amounts = {
        "cpu": quantity.format_cpu(
            sum(quantity.millicores(item.get("cpu", 0)) for item in requests)
        ),
        "memory": quantity.format_bytes(
            sum(quantity.size_bytes(item.get("memory", 0)) for item in requests)
        ),
    }
    found = " and ".join(f"{amounts[kind]} {_SCHEDULED[kind]}" for kind in missing)
    part = Part(pod["metadata"]["labels"][naming.COMPONENT_LABEL])
    field = part.record.resources or f"spec.parts.{part.value}.resources"
    return (
        f"; the pod requests {found}: lower {field}.requests, add a node, or for experiments set "
        "spec.profile: development"
    )


def _container(
    pod: str, option: str, status: Body, specs: Mapping[str, Body], now: datetime.datetime
) -> Health | None:
    name = status.get("name", "")
    state, where = status.get("state", {}), f"pod {pod}, container {name}"
    logs = f"kubectl logs {pod} -c {name}{option}"
    waiting, ended = state.get("waiting"), state.get("terminated")
    last, restarts = (
        (status.get("lastState") or {}).get("terminated"),
        status.get("restartCount", 0),
    )
    if waiting:
        reason = waiting.get("reason", "ContainerCreating")
        if reason == "CrashLoopBackOff" and last:
            return _ended(where, last, reason, restarts, f"{logs} --previous")
        text = waiting.get("message", "") or reason
        describe = f"kubectl describe pod {pod}{option}"
        text = shortened(mask_credentials(text), describe)
        if remedy := advice(text):
            text += f"; remedy: {remedy}"
        return None if reason in _STARTING else Health(False, reason, f"{where}: {text}", True)
    if ended:
        return _ended(where, ended, "Failed", restarts, logs) if ended.get("exitCode", 0) else None
    if "running" not in state or status.get("ready", True):
        return None
    if last and (last.get("exitCode", 0) != 0 or restarts > 1):
        return _ended(where, last, "CrashLoopBackOff", restarts, f"{logs} --previous")
    return _failing(where, status, specs.get(name, {}), now)


def _failing(where: str, status: Body, spec: Body, now: datetime.datetime) -> Health | None:
    """Returns the failing probe of a container that runs; None while it starts."""
    running = status["state"]["running"]
    # A start in the future shows only that the clock of the node is ahead.
    if status.get("started") is False and abs(_runs_for(running, now)) < STARTING_SECONDS:
        return None
    return Health(False, "ProbeFailing", f"{where}: runs, but {_failing_probe(status, spec)}")


def _runs_for(running: Body, now: datetime.datetime) -> float:
    """Returns the seconds since a container started; infinite if its status lacks the time."""
    since = running.get("startedAt")
    return (now - datetime.datetime.fromisoformat(since)).total_seconds() if since else math.inf


def _failing_probe(status: Body, spec: Body) -> str:
    """Describes the probe that fails; most often the app has no route with its path."""
    kind = "startup" if status.get("started") is False else "readiness"
    path = (spec.get(f"{kind}Probe") or {}).get("httpGet", {}).get("path")
    if path is None:
        return f"its {kind} probe fails"
    fault = f"its {kind} probe GET {path} fails"
    if status.get("name") != APP_CONTAINER:
        return fault
    if spec[f"{kind}Probe"]["httpGet"].get("port") == PROBES:
        return (
            f"{fault} on the port of the runtime; if the app does not call its install(app), set "
            "spec.server.probes.source to App"
        )
    return (
        f"{fault}; if the app returns 404 for this path, set spec.server.probes.{kind}; if it "
        "returns 400 for the host of the probe, set spec.server.probes.host"
    )


def _ended(where: str, ended: Body, reason: str, restarts: int, logs: str) -> Health:
    if ended.get("reason") == "OOMKilled":
        reason = "OOMKilled"
    again = f" after {restarts} restarts" if restarts else ""
    output = ended.get("message", "")
    if ended.get("exitCode", 0) == 0 and reason != "OOMKilled":
        text = f"{where}: the process exited with status 0{again}, but it must run until it is "
        text += "stopped; check that its command starts a server or worker in the foreground, and "
        text += f"does not end when its work is done; its output: {logs}"
        return Health(False, reason, text, True)
    text = f"{where}: exit code {ended.get('exitCode')}{again}: "
    if output:
        text += describe_output(output, logs)
    else:
        text += f"{ended.get('reason', '')}; the process wrote nothing; see {logs}"
    return Health(False, reason, text, True)


@dataclass
class _Check:
    digest: str
    since: float
    next_at: float
    pause: float
    found: Health | None = None


class PodDiagnostics:
    """The unready workloads, and the last diagnosis of their pods."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._checks: dict[ObjectKey, _Check] = {}

    def due(self, desired: Iterable[Desired], children: Mapping[ObjectKey, Child]) -> list[Desired]:
        """Returns the workloads whose pods should be listed now."""
        now, due = self._clock(), []
        for item in desired:
            key, child = item.key, children.get(item.key)
            if key.kind not in WORKLOADS:
                continue
            if child is None or child.health.ready:
                self._checks.pop(key, None)
                continue
            # The pod of a failed Job has its final status already.
            wait = 0.0 if child.health.failed and key.kind == JOB.kind else FIRST_CHECK_SECONDS
            check = self._checks.get(key)
            if check is None or check.digest != child.live_digest:
                check = _Check(child.live_digest, now, now + wait, FIRST_CHECK_SECONDS)
                self._checks[key] = check
            if wait == 0.0:
                check.next_at = min(check.next_at, now) if check.found is None else math.inf
            if check.next_at <= now:
                due.append(item)
        return due

    def record(self, key: ObjectKey, found: Health | None) -> None:
        """Records a diagnosis and schedules the next check."""
        check = self._checks[key]
        is_between_crashes = check.found is not None and check.found.reason in _CRASHES
        if found is not None or not is_between_crashes:
            check.found = found
        self.postpone(key)

    def postpone(self, key: ObjectKey) -> None:
        """Schedules the next check."""
        check, now = self._checks[key], self._clock()
        young = now - check.since < YOUNG_SECONDS
        ceiling = YOUNG_CHECK_CEILING_SECONDS if young else CHECK_CEILING_SECONDS
        check.pause = min(check.pause * 1.6, ceiling)
        check.next_at = now + check.pause

    def findings(self, desired: Iterable[Desired]) -> dict[ObjectKey, Health]:
        """Returns the last diagnosis of each unready workload."""
        found = {}
        for item in desired:
            check = self._checks.get(item.key)
            if check is not None and check.found is not None:
                found[item.key] = check.found
        return found

    def next_in(self, desired: Iterable[Desired]) -> float | None:
        """Returns the seconds until the next check; None if all workloads are ready."""
        times = (self._checks[item.key].next_at for item in desired if item.key in self._checks)
        soonest = min(times, default=math.inf)
        return max(0.0, soonest - self._clock()) if soonest < math.inf else None

    def forget(self, key: ObjectKey) -> None:
        """Drops a deleted workload."""
        self._checks.pop(key, None)
