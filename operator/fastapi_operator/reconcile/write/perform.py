"""Performs the steps of a reconciliation: no other module writes owned objects."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import structlog

from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import CONTROLLER_REVISION, JOB, POD
from fastapi_operator.reconcile.observe.attempt import pod_has_started
from fastapi_operator.reconcile.observe.canary_record import belongs_to_canary
from fastapi_operator.reconcile.observe.identity import Owner, ServiceKey
from fastapi_operator.reconcile.observe.observed import Child
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.plan import release
from fastapi_operator.reconcile.plan.crash import explain_crash
from fastapi_operator.reconcile.plan.database import volume_name
from fastapi_operator.reconcile.plan.refusals import Refusal
from fastapi_operator.reconcile.plan.steps import Step, Steps
from fastapi_operator.reconcile.write.brakes import Brakes
from fastapi_operator.reconcile.write.object_writer import ObjectWriter, kind_of
from fastapi_operator.reconcile.write.outcome import (
    BlockedError,
    NamespaceTerminatingError,
    Outcome,
    RefusedError,
)
from fastapi_operator.resources.desired import ObjectKey

_log = structlog.get_logger(__name__)

# Histories lose one object for each new one, and each canary ends, so the brake on deletes does not
# count their objects.
_HISTORY = frozenset({CONTROLLER_REVISION.kind, JOB.kind})


class Performer:
    """Writes and deletes objects; several services may be written at once."""

    def __init__(
        self,
        client: Client,
        store: Store,
        brakes: Brakes,
        *,
        wake: Callable[[ServiceKey], None],
        count: Callable[[str, str], None] = lambda _kind, _why: None,
    ) -> None:
        self._client = client
        self._store = store
        self._brakes = brakes
        self._count = count
        self._writer = ObjectWriter(client, store, brakes, wake=wake)

    async def perform(self, steps: Steps, owner: Owner, outcome: Outcome | None = None) -> Outcome:
        """Performs the steps in their order; if one fails, the others are still performed.

        Args:
            steps: What to do.
            owner: The service.
            outcome: The results of writes before them, to which theirs are added.

        Raises:
            NamespaceTerminatingError: The namespace is being deleted.
        """
        outcome = outcome or Outcome()
        self._store.adopt(steps.adopted)
        try:
            await self._abandon(steps.abandoned, outcome)
            await self._write_waves(steps.before_release, owner, outcome)
            if await self._record_release(steps, owner, outcome):
                await self._write_waves(steps.after_release, owner, outcome)
            if outcome.failure is None:
                await self._prune(steps.deletes, owner, outcome)
        finally:
            if outcome.done:
                _log.info(
                    "wrote", service=owner.name, namespace=owner.namespace, objects=outcome.done
                )
        return outcome

    async def _write_waves(self, steps: Sequence[Step], owner: Owner, outcome: Outcome) -> None:
        for _, wave in groupby(steps, key=lambda step: kind_of(step.key).wave):
            await asyncio.gather(*(self._attempt(step, owner, outcome) for step in wave))
            if outcome.terminating is not None:
                raise NamespaceTerminatingError(str(outcome.terminating))

    async def _attempt(self, step: Step, owner: Owner, outcome: Outcome) -> None:
        try:
            await self._writer.write(step, owner)
        except RefusedError as error:
            found = outcome.warnings if error.refusal.is_warning else outcome.refusals
            found.append(error.refusal)
        except BlockedError:
            outcome.blocked.append(step.key)
        except ApiError as error:
            outcome.add_error(step.key, error)
        except Exception as error:
            # A bug that one object triggers must not keep the others from being repaired.
            _log.exception("cannot write an object", object=str(step.key))
            outcome.refusals.append(
                Refusal(step.key, "OperatorError", explain_crash(error, str(step.key)))
            )
        else:
            self._count(step.key.kind, step.why)
            outcome.done.append(f"{step.action.value} {step.key.kind}/{step.key.name}: {step.why}")

    async def _record_release(self, steps: Steps, owner: Owner, outcome: Outcome) -> bool:
        """Writes the release record; if that fails, the objects of the release are not written."""
        if steps.release is None:
            return True
        # A volume that was created a moment ago has its uid only now.
        created = {
            volume_name(key): child.uid
            for key in steps.volumes
            if (child := self._store.child(key)) is not None and child.can_belong_to(owner.uid)
        }
        record = replace(steps.release, volumes={**steps.release.volumes, **created})
        body = release.to_body(record, owner)
        key = ObjectKey("apps", "ControllerRevision", owner.namespace, body["metadata"]["name"])
        try:
            self._writer.put(key, await self._client.create(CONTROLLER_REVISION, body))
        except ApiError as error:
            outcome.add_error(key, error)
            return False
        outcome.done.append(f"create {key.kind}/{key.name}: release")
        self._count(key.kind, "release")
        return True

    async def _abandon(self, jobs: Sequence[Child], outcome: Outcome) -> None:
        """Deletes migration Jobs that are no longer desired and of which no pod has started.

        An image that cannot be pulled, for example, must not delay its correction until the
        deadline of the Job. The Job is gone only after its pods, so that the next one runs alone.
        """
        for child in jobs:
            key = child.key
            try:
                pods = await self._pods_of(key)
                if any(pod_has_started(pod) for pod in pods):
                    continue
                await self._client.delete(
                    kind_of(key), key.namespace, key.name, uid=child.uid, foreground=bool(pods)
                )
            except ApiError as error:
                if error.status not in (404, 409):
                    outcome.add_error(key, error)
                continue
            outcome.done.append(f"delete {key.kind}/{key.name}: superseded")
            self._count(key.kind, "superseded")
            if not self._client.dry_run:
                self._store.note_deleting(child)

    async def _pods_of(self, job: ObjectKey) -> list[Mapping[str, Any]]:
        selector = f"batch.kubernetes.io/job-name={job.name}"
        pages = self._client.pages(POD, job.namespace, label_selector=selector)
        return [pod async for pods, _ in pages for pod in pods]

    async def _prune(self, children: Sequence[Child], owner: Owner, outcome: Outcome) -> None:
        for child in children:
            key = child.key
            is_expected = key.kind in _HISTORY or belongs_to_canary(owner, key)
            if not is_expected and not self._brakes.may_delete():
                _log.error("pruning stopped", reason="too many deletes in a minute")
                outcome.braked = True
                return
            try:
                await self._client.delete(kind_of(key), key.namespace, key.name, uid=child.uid)
            except ApiError as error:
                if error.status not in (404, 409):
                    outcome.add_error(key, error)
                continue
            outcome.done.append(f"delete {key.kind}/{key.name}: unwanted")
            if not is_expected:
                self._brakes.deleted()
            self._count(key.kind, "unwanted")
            if not self._client.dry_run:
                self._store.note_deleting(child)
