"""Reads the reports of preflights: the termination messages of their pods.

A report is read once, when its Job has ended; the status then keeps it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from fastapi_operator.cluster.kinds import JOB
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.advice import advice
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.observed import Child, Health
from fastapi_operator.reconcile.observe.pod_diagnostics import NEVER_RUNS, image_digest
from fastapi_operator.reconcile.observe.pod_output import mask_credentials
from fastapi_operator.reconcile.observe.preflight_report import Outcome, PreflightReport
from fastapi_operator.resources.desired import Desired, ObjectKey

Body = Mapping[str, Any]

_SERVERS = ("uvicorn", "gunicorn", "granian", "hypercorn")
_REMEDIES = {
    "AppNotFound": "set spec.app to module:attribute, as seen from the working directory of the "
    "image",
    "MissingModule": "add the package to the requirements of the image, or fix the import",
    "MissingLibrary": "install the system library in the image, or use a wheel for its base image",
    "MissingVariable": "set them in spec.env, or with spec.connections if they are addresses",
    "OutOfMemory": "raise spec.resources.limits.memory",
    "ProgramNotFound": "install it, or put its virtual environment on the PATH of the image",
    "SyntaxError": "fix it, or use a base image with a newer Python",
}


def read_report(job: Child, pods: Iterable[Body], found: Health | None) -> PreflightReport:
    """Returns the report of a Job that has ended.

    Args:
        job: The Job.
        pods: Its pods.
        found: The problem of its pods; None if they have none.
    """
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            ended = (status.get("state") or {}).get("terminated")
            if status.get("name") == Part.PREFLIGHT.record.container and ended:
                report = _of_container(job, ended, found)
                return replace(report, digest=image_digest(status))
    return _not_checked(job, "NoReport", found, "its pod is gone")


def never_ran(job: Child, found: Health) -> PreflightReport | None:
    """Returns the report of a Job whose pod cannot start now; None if it may still start."""
    # The app's own pods will report the same.
    return _not_checked(job, found.reason, found) if found.reason in NEVER_RUNS else None


def _not_checked(job: Child, reason: str, found: Health | None, why: str = "") -> PreflightReport:
    text = f"the image was not checked: {found.message if found is not None else why}"
    return PreflightReport(job.preflight or "", job.uid, Outcome.UNKNOWN, reason, text)


def _of_container(job: Child, ended: Body, found: Health | None) -> PreflightReport:
    key = job.preflight or ""
    if ended.get("reason") == "OOMKilled":
        text = _with_remedy(
            "OutOfMemory", "the import needs more memory than the limit of an app pod"
        )
        return PreflightReport(key, job.uid, Outcome.FAILED, "OutOfMemory", text)
    try:
        report = json.loads(ended.get("message") or "")
        outcome = Outcome(report["outcome"])
    except (KeyError, TypeError, ValueError):
        return _not_checked(job, "NoReport", found, "the check wrote no report")
    reason = str(report.get("reason") or "")
    text = mask_credentials(str(report.get("message") or report.get("note") or ""))
    place = str(report.get("place") or "")
    if place:
        text = f"{text}, at {place}"
    if outcome is Outcome.FAILED:
        text = _with_remedy(reason, text)
    return PreflightReport(key, job.uid, outcome, reason, text, figures=_figures(report))


def _with_remedy(reason: str, text: str) -> str:
    remedy = _REMEDIES.get(reason) or advice(text)
    return f"{text}; {remedy}" if remedy else text


def _figures(report: Body) -> dict[str, Any]:
    """Returns the measured fields of the status, without those that have another type."""
    versions = report.get("versions")
    versions = versions if isinstance(versions, dict) else {}
    server = next((f"{name} {versions[name]}" for name in _SERVERS if name in versions), None)
    wanted = {
        "python": (str, report.get("python")),
        "server": (str, server),
        "fastapi": (str, versions.get("fastapi")),
        "pydantic": (str, versions.get("pydantic")),
        "uvloop": (bool, report.get("uvloop")),
        "gil": (bool, report.get("gil")),
        "import_milliseconds": (int, report.get("importMilliseconds")),
        "memory_bytes": (int, report.get("memoryBytes")),
        "routes": (int, report.get("routes")),
        "openapi": (str, report.get("openapi")),
    }
    return {name: value for name, (kind, value) in wanted.items() if isinstance(value, kind)}


class PreflightReports:
    """The report of the last preflight of each service, as far as this process has read it."""

    def __init__(self) -> None:
        self._reports: dict[ServiceKey, PreflightReport] = {}

    def find(self, service: ServiceKey) -> PreflightReport | None:
        """Returns the last report; None if none was read."""
        return self._reports.get(service)

    def due(
        self,
        service: ServiceKey,
        desired: Iterable[Desired],
        children: Mapping[ObjectKey, Child],
        stored: Body,
    ) -> Desired | None:
        """Returns the Job that has ended and whose report is to be read; None without one.

        Args:
            service: The service.
            desired: Its desired objects.
            children: Its live objects.
            stored: ``status.preflight``.
        """
        item = next((item for item in desired if is_preflight(item)), None)
        child = children.get(item.key) if item is not None else None
        if child is None or not (child.health.ready or child.health.failed):
            return None
        report = self._reports.get(service)
        known = (stored.get("jobUid"), report.job_uid if report is not None else "")
        return None if child.uid in known else item

    def record(self, service: ServiceKey, report: PreflightReport) -> None:
        """Records a report."""
        self._reports[service] = report

    def forget(self, service: ServiceKey) -> None:
        """Drops the report of a deleted service."""
        self._reports.pop(service, None)


def is_preflight(desired: Desired) -> bool:
    """Whether an object is the Job of a preflight."""
    return desired.key.kind == JOB.kind and desired.part is Part.PREFLIGHT
