"""The status of a preflight: its condition, its problem, and its result."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi_operator import quantity
from fastapi_operator.api.status import PreflightStatus, StatusProblem
from fastapi_operator.reconcile.observe.health import JOB_SUSPENDED
from fastapi_operator.reconcile.observe.observed import Child, Health
from fastapi_operator.reconcile.observe.preflight_report import Outcome
from fastapi_operator.reconcile.plan.preflights import Preflight
from fastapi_operator.reconcile.plan.refusals import Refusal
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import Plan

PATH = "spec.rollout.preflight"
# The container has ended; its report is read when the Job has ended too, a moment later.
_ENDED = frozenset({"Failed", "OOMKilled"})


def preflight_health(
    preflight: Preflight, job: Child | None, diagnosis: Health | None, refusal: Refusal | None
) -> Health:
    """Returns the health of the part.

    Args:
        preflight: The desired preflight.
        job: Its Job; None if it is missing.
        diagnosis: The problem of the Job's pod, for example an image that cannot be pulled.
        refusal: Why the Job was not written; None if it was.
    """
    name, report = preflight.job.name, preflight.report
    if preflight.passed:
        return Health(True)
    if refusal is not None:
        return Health(False, refusal.reason, refusal.message, failed=True)
    if report is not None:
        text = f"the new image is not rolled out: {report.message}; it is checked again after a "
        text += f"change of the spec, or after kubectl delete job {name}"
        return Health(False, "PreflightFailed", f"{text} -n {preflight.job.namespace}", failed=True)
    if job is None:
        return Health(False, "PreflightRunning", f"Job {name} is not written yet")
    if job.health.reason == JOB_SUSPENDED:
        return job.health._replace(message=f"Job {name}: {job.health.message}")
    running = Health(False, "PreflightRunning", f"Job {name} has not finished")
    return running if diagnosis is None or diagnosis.reason in _ENDED else diagnosis


def preflight_status(
    preflight: Preflight | None, before: Mapping[str, Any]
) -> PreflightStatus | None:
    """Returns the section of the status, about the image of the spec alone."""
    if preflight is None:
        return None
    stored, report = before.get("preflight") or {}, preflight.report
    if report is not None and (report.job_uid, report.outcome) != (
        stored.get("jobUid"),
        stored.get("outcome"),
    ):
        return report.to_status()
    is_same = stored.get("key") == preflight.request
    return PreflightStatus.model_validate(stored) if is_same else None


def preflight_problems(
    preflight: Preflight | None, found: PreflightStatus | None, plan: Plan | None
) -> Iterator[StatusProblem]:
    """Yields a warning about an image that was not checked, or whose processes need more memory.

    Args:
        preflight: The desired preflight.
        found: The section of the status.
        plan: The numbers of the service.
    """
    if preflight is None or found is None or found.outcome == Outcome.FAILED.value:
        return
    if found.outcome == Outcome.UNKNOWN.value:
        yield StatusProblem(severity="warning", path=PATH, message=found.message or "")
    if found.memory_bytes is None or plan is None:
        return
    workers, limit = plan.server.workers.value, plan.compute.memory_limit_bytes
    needed = math.ceil(workers * found.memory_bytes * figures.WORKER_MEMORY_MARGIN)
    if needed > limit.value:
        yield StatusProblem(
            severity="warning",
            path=limit.path or "spec.resources.limits.memory",
            message=f"{workers} processes of this image need "
            f"{quantity.format_bytes(_rounded(found.memory_bytes))} each after their import, and "
            f"the limit of a pod is {limit.display()}; set at least "
            f"{quantity.format_bytes(_rounded(needed))}, or use fewer workers",
        )


def figures_of(found: Mapping[str, Any]) -> str:
    """Returns the result of a preflight, in one line.

    Args:
        found: ``status.preflight``.
    """
    parts = [f"Python {found['python']}"] if found.get("python") else []
    if found.get("gil") is False:
        parts.append("without GIL")
    parts += [found["server"]] if found.get("server") else []
    if found.get("uvloop"):
        parts.append("uvloop")
    parts += [f"fastapi {found['fastapi']}"] if found.get("fastapi") else []
    if found.get("importMilliseconds") is not None:
        memory = quantity.format_bytes(_rounded(found.get("memoryBytes") or 0))
        parts.append(f"imported in {found['importMilliseconds'] / 1000:.1f} s with {memory}")
    if found.get("routes") is not None:
        parts.append(f"{found['routes']} routes, OpenAPI {found.get('openapi', '')[:8]}")
    return ", ".join(parts)


def _rounded(amount: int) -> int:
    return -(-amount // 2**20) * 2**20
