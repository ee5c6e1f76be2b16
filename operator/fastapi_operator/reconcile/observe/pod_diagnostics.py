"""Why the pods of an unready workload do not answer, in their own words.

Pods are not watched. A workload that is unready for three seconds has its pods listed once, and
again with growing pauses while it stays unready. Somebody may be waiting for one that is new or
was changed: what its pods say is told within 15 s.
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

FIRST_LOOK_SECONDS = 3.0
YOUNG_SECONDS = 600.0
YOUNG_LOOK_CEILING_SECONDS = 6.0
LOOK_CEILING_SECONDS = 300.0
# Imports take seconds on a throttled core, and each pod of a rollout starts once. With a look at
# least each 6 s, a probe that has no success is still told within 15 s.
STARTING_SECONDS = 8.0
PODS_LISTED = 20
MESSAGE_MAX_LENGTH = 600

WORKLOADS = frozenset({DEPLOYMENT.kind, STATEFUL_SET.kind, JOB.kind, CRON_JOB.kind})

# The credentials in a URL: whatever stands before the @ of scheme://user:password@host.
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*:[^\s@]*@|(?<=://)[^/\s@:]+@")
_SECRET_ASSIGNMENT = re.compile(
    r"(?i)\b(password|passwd|secret|token|api[_-]?key)(\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
)

Body = Mapping[str, Any]


def masked(text: str) -> str:
    """A pod's text without credentials, short enough for a condition."""
    text = _URL_CREDENTIALS.sub("***@", text)
    text = _SECRET_ASSIGNMENT.sub(r"\1\2***", text).strip()
    # The end of a traceback says what happened; its beginning says where Python started.
    return text if len(text) <= MESSAGE_MAX_LENGTH else "…" + text[-MESSAGE_MAX_LENGTH + 1 :]


def diagnosis(pods: Iterable[Body], now: datetime.datetime) -> Health | None:
    """The worst that any of the pods says; None where none says anything."""
    found = [health for pod in pods if (health := _pod(pod, now)) is not None]
    return max(
        found, key=lambda health: (health.failed, _WEIGHT.get(health.reason, 0)), default=None
    )


def selector(desired: Desired) -> str:
    """The label selector of a workload's pods."""
    if desired.key.kind == JOB.kind:
        return f"batch.kubernetes.io/job-name={desired.key.name}"
    spec = desired.body["spec"]
    if desired.key.kind == CRON_JOB.kind:
        labels = spec["jobTemplate"]["metadata"]["labels"]
    else:
        labels = spec["selector"]["matchLabels"]
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


_ON_THE_WAY = frozenset({"ContainerCreating", "PodInitializing"})
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
                False, reason, f"pod {name}: {masked(condition.get('message', ''))}", True
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
        message = f"pod {name}: {masked(status.get('message', '') or 'failed')}"
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
        message = f"{where}: {masked(waiting.get('message', '') or reason)}"
        return None if reason in _ON_THE_WAY else Health(False, reason, message, True)
    if ended:
        return _ended(where, ended, "Failed", restarts) if ended.get("exitCode", 0) else None
    if "running" not in state or status.get("ready", True):
        return None
    if last and last.get("exitCode", 0) != 0:
        return _ended(where, last, "CrashLoopBackOff", restarts)
    return _unanswered(where, status, spec, now)


def _unanswered(where: str, status: Body, spec: Body, now: datetime.datetime) -> Health | None:
    """What a container says that runs and is not ready: nothing, within its start."""
    running = status["state"]["running"]
    if status.get("started") is False and _runs_for(running, now) < STARTING_SECONDS:
        return None
    return Health(False, "ProbeFailing", f"{where}: runs, but {_failing_probe(status, spec)}")


def _runs_for(running: Body, now: datetime.datetime) -> float:
    """Seconds since a container was started; infinite where its status does not say."""
    since = running.get("startedAt")
    return (now - datetime.datetime.fromisoformat(since)).total_seconds() if since else math.inf


def _failing_probe(status: Body, spec: Body) -> str:
    """Which probe has not passed, by its path: most often one that the app does not know."""
    kind = "startup" if status.get("started") is False else "readiness"
    path = (spec.get(f"{kind}Probe") or {}).get("httpGet", {}).get("path")
    if path is None:
        return f"its {kind} probe fails"
    told = f"its {kind} probe GET {path} fails"
    if status.get("name") != APP_CONTAINER:
        return told
    return f"{told}; where the app answers 404 there, mend spec.server.probes.{kind}"


def _ended(where: str, ended: Body, reason: str, restarts: int) -> Health:
    if ended.get("reason") == "OOMKilled":
        reason = "OOMKilled"
    told = masked(ended.get("message", "") or ended.get("reason", ""))
    again = f" after {restarts} restarts" if restarts else ""
    text = f"{where}: exit code {ended.get('exitCode')}{again}: {told}"
    return Health(False, reason, text, True)


@dataclass
class _Look:
    digest: str
    since: float
    next_at: float
    pause: float
    found: Health | None = None


class Ward:
    """Which workloads are unready since when, and what their pods said last."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._looks: dict[ObjectKey, _Look] = {}

    def due(self, desired: Iterable[Desired], children: Mapping[ObjectKey, Child]) -> list[Desired]:
        """The workloads whose pods should be listed now."""
        now, due = self._clock(), []
        for item in desired:
            key, child = item.key, children.get(item.key)
            if key.kind not in WORKLOADS:
                continue
            if child is None or child.health.ready:
                self._looks.pop(key, None)
                continue
            # A finished Job that failed says why at once.
            wait = 0.0 if child.health.failed and key.kind == JOB.kind else FIRST_LOOK_SECONDS
            look = self._looks.get(key)
            if look is None or look.digest != child.live_digest:
                look = _Look(child.live_digest, now, now + wait, FIRST_LOOK_SECONDS)
                self._looks[key] = look
            if wait == 0.0:
                look.next_at = min(look.next_at, now) if look.found is None else math.inf
            if look.next_at <= now:
                due.append(item)
        return due

    def looked(self, key: ObjectKey, found: Health | None) -> None:
        """Notes what the pods said and when to ask again."""
        look = self._looks[key]
        # One silent look does not unsay what was found: between two crashes a pod just runs.
        look.found = found if found is not None else look.found
        now = self._clock()
        young = now - look.since < YOUNG_SECONDS
        ceiling = YOUNG_LOOK_CEILING_SECONDS if young else LOOK_CEILING_SECONDS
        look.pause = min(look.pause * 1.6, ceiling)
        look.next_at = now + look.pause

    def findings(self, desired: Iterable[Desired]) -> dict[ObjectKey, Health]:
        """What is known of the unready workloads."""
        found = {}
        for item in desired:
            look = self._looks.get(item.key)
            if look is not None and look.found is not None:
                found[item.key] = look.found
        return found

    def next_in(self, desired: Iterable[Desired]) -> float | None:
        """Seconds until the next look; None where every workload is ready."""
        looks = (self._looks[item.key].next_at for item in desired if item.key in self._looks)
        soonest = min(looks, default=math.inf)
        return max(0.0, soonest - self._clock()) if soonest < math.inf else None

    def forget(self, key: ObjectKey) -> None:
        """Drops a workload that is gone."""
        self._looks.pop(key, None)
