"""The preflight that a spec requests: its Job, and whether the image may be rolled out.

A preflight is identified by the image, the app and the command. Once accepted, it is not repeated:
the status, a Job that succeeded or the release record is the proof. After a failure it runs again
if anything that reaches its pod has changed, or if its Job is deleted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import JOB
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Child, Observed, ReleaseRecord
from fastapi_operator.reconcile.observe.preflight_pods import is_preflight
from fastapi_operator.reconcile.observe.preflight_report import (
    PREFLIGHT_ANNOTATION,
    PreflightReport,
)
from fastapi_operator.reconcile.plan.owned_object import OwnedObject, make_owned
from fastapi_operator.resources.desired import Desired, ObjectKey
from fastapi_operator.resources.preflight import request_of

JOBS_KEPT = 3


@dataclass(frozen=True)
class Preflight:
    """The desired preflight of a service.

    Attributes:
        request: The hash of image, app and command.
        job: The Job that runs it, has run it, or is to be created.
        passed: Whether the image may be rolled out.
        report: The report of the Job; None if it was not read.
    """

    request: str
    job: ObjectKey
    passed: bool
    report: PreflightReport | None = None

    @property
    def failed(self) -> bool:
        """Whether the image must not be rolled out."""
        return self.report is not None and not self.passed


def find_preflight(
    desired_objects: Iterable[Desired],
    observed: Observed,
    owner: Owner,
    *,
    spec: Mapping[str, Any],
    stored: Mapping[str, Any],
) -> Preflight | None:
    """Returns the preflight of a spec; None if it has none.

    Args:
        desired_objects: The desired objects.
        observed: The live objects, the release record and the report that was read last.
        owner: The service.
        spec: The spec as the user wrote it.
        stored: ``status.preflight``.
    """
    job = next((item.key for item in desired_objects if is_preflight(item)), None)
    if job is None:
        return None
    request = request_of(spec)
    child = observed.children.get(job)
    found = (observed.preflight, PreflightReport.of_status(stored))
    reports = [item for item in found if item is not None and item.key == request]
    accepted = [item for item in reports if item.accepts(request)]
    # If the Job of a failure is deleted, the image is checked again.
    of_job = [item for item in reports if child is not None and item.job_uid == child.uid]
    report = next(iter((*of_job, *accepted)), None)
    passed = (
        bool(accepted)
        or is_image_released(request, observed.release)
        or any(_proves(item, request) for item in _jobs(observed, owner))
    )
    return Preflight(request, job, passed, report)


def is_image_released(request: str, release: ReleaseRecord | None) -> bool:
    """Whether the image of a request is that of the last release."""
    return release is not None and request_of(release.spec) == request


def name_request(owned: OwnedObject, preflight: Preflight, owner: Owner) -> OwnedObject:
    """Returns the Job with its request, by which a later spec of the same image finds it."""
    body = owned.desired.body
    annotations = {
        **body["metadata"].get("annotations", {}),
        PREFLIGHT_ANNOTATION: preflight.request,
    }
    metadata = {**body["metadata"], "annotations": annotations}
    return make_owned(replace(owned.desired, body={**body, "metadata": metadata}), owner)


def obsolete(preflight: Preflight | None, observed: Observed, owner: Owner) -> tuple[Child, ...]:
    """Returns the Jobs to delete: beyond the history, or running although nothing needs them."""
    job = None if preflight is None or preflight.passed else preflight.job
    jobs = _jobs(observed, owner)
    running = [item for item in jobs if not (item.health.ready or item.health.failed)]
    ended = [item for item in jobs if item not in running and item.key != job]
    found = (*(item for item in running if item.key != job), *ended[:-JOBS_KEPT])
    return tuple(item for item in found if not item.deleting)


def is_job(service: str, key: ObjectKey) -> bool:
    """Whether an object has the name of a preflight's Job."""
    prefix = naming.child_name(service, Part.PREFLIGHT.record.suffix, "")
    return key.kind == JOB.kind and key.name.startswith(prefix)


def _jobs(observed: Observed, owner: Owner) -> list[Child]:
    """Returns the Jobs of preflights, oldest first."""
    found = (
        child
        for child in observed.children.values()
        if child.owner_uid == owner.uid and is_job(owner.name, child.key)
    )
    return sorted(found, key=lambda child: child.age)


def _proves(job: Child, request: str) -> bool:
    return job.health.ready and job.preflight == request
