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

from fastapi_operator.api.guards import APP_CONTAINER
from fastapi_operator.cluster.kinds import CRON_JOB, DEPLOYMENT, JOB, STATEFUL_SET
from fastapi_operator.reconcile.observe.observed import Child, Health
from fastapi_operator.resources.desired import Desired, ObjectKey

FIRST_CHECK_SECONDS = 3.0
YOUNG_SECONDS = 600.0
YOUNG_CHECK_CEILING_SECONDS = 6.0
CHECK_CEILING_SECONDS = 300.0
# Imports take seconds on a throttled CPU, and each pod of a rollout starts once. With a check at
# least every 6 s, a probe that never succeeds is still reported within 15 s.
STARTING_SECONDS = 8.0
PODS_LISTED = 20
MESSAGE_MAX_LENGTH = 600

WORKLOADS = frozenset({DEPLOYMENT.kind, STATEFUL_SET.kind, JOB.kind, CRON_JOB.kind})

# The credentials in a URL: the text before the @ of scheme://user:password@host.
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*:[^\s@]*@|(?<=://)[^/\s@:]+@")
_SECRET_ASSIGNMENT = re.compile(
    r"(?i)\b(password|passwd|secret|token|api[_-]?key)(\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
)

Body = Mapping[str, Any]


def mask_credentials(text: str) -> str:
    """Returns a message of a pod without credentials, short enough for a condition."""
    text = _URL_CREDENTIALS.sub("***@", text)
    text = _SECRET_ASSIGNMENT.sub(r"\1\2***", text).strip()
    # The end of a traceback has the error; its beginning only has the entry point.
    return text if len(text) <= MESSAGE_MAX_LENGTH else "…" + text[-MESSAGE_MAX_LENGTH + 1 :]


def diagnose(pods: Iterable[Body], now: datetime.datetime) -> Health | None:
    """Returns the worst problem of the pods; None if no pod has one."""
    found = [health for pod in pods if (health := _pod(pod, now)) is not None]
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


_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
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
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            reason = condition.get("reason", "Unschedulable")
            return Health(
                False, reason, f"pod {name}: {mask_credentials(condition.get('message', ''))}", True
            )
    containers = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    specs = {spec["name"]: spec for spec in pod.get("spec", {}).get("containers", ())}
    found = [
        health
        for state in containers
        if (health := _container(name, state, specs.get(state.get("name"), {}), now)) is not None
    ]
    if found:
        return max(found, key=lambda health: (health.failed, _WEIGHT.get(health.reason, 0)))
    if status.get("phase") == "Failed":
        message = f"pod {name}: {mask_credentials(status.get('message', '') or 'failed')}"
        return Health(False, status.get("reason") or "Failed", message, True)
    return None


def _container(pod: str, status: Body, spec: Body, now: datetime.datetime) -> Health | None:
    state, where = status.get("state", {}), f"pod {pod}, container {status.get('name')}"
    waiting, ended = state.get("waiting"), state.get("terminated")
    last, restarts = (
        (status.get("lastState") or {}).get("terminated"),
        status.get("restartCount", 0),
    )
    if waiting:
        reason = waiting.get("reason", "ContainerCreating")
        if reason == "CrashLoopBackOff" and last:
            return _ended(where, last, reason, restarts)
        message = f"{where}: {mask_credentials(waiting.get('message', '') or reason)}"
        return None if reason in _STARTING else Health(False, reason, message, True)
    if ended:
        return _ended(where, ended, "Failed", restarts) if ended.get("exitCode", 0) else None
    if "running" not in state or status.get("ready", True):
        return None
    if last and last.get("exitCode", 0) != 0:
        return _ended(where, last, "CrashLoopBackOff", restarts)
    return _failing(where, status, spec, now)


def _failing(where: str, status: Body, spec: Body, now: datetime.datetime) -> Health | None:
    """Returns the failing probe of a container that runs; None while it starts."""
    running = status["state"]["running"]
    if status.get("started") is False and _runs_for(running, now) < STARTING_SECONDS:
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
    return f"{fault}; if the app returns 404 for this path, set spec.server.probes.{kind}"


def _ended(where: str, ended: Body, reason: str, restarts: int) -> Health:
    if ended.get("reason") == "OOMKilled":
        reason = "OOMKilled"
    message = mask_credentials(ended.get("message", "") or ended.get("reason", ""))
    again = f" after {restarts} restarts" if restarts else ""
    text = f"{where}: exit code {ended.get('exitCode')}{again}: {message}"
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
        # A check without a problem does not clear the last one: between two crashes a pod runs.
        check.found = found if found is not None else check.found
        now = self._clock()
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
