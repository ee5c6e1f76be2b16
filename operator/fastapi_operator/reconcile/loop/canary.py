"""Moves a canary on: looks at both versions, and writes its record before anything else."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.kinds import DEPLOYMENT
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.loop import steady
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, Look, Phase, record_key
from fastapi_operator.reconcile.observe.identity import Owner, ServiceKey
from fastapi_operator.reconcile.observe.observed import Health
from fastapi_operator.reconcile.observe.pod_diagnostics import NEVER_RUNS
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.plan.canary import next_record
from fastapi_operator.reconcile.plan.target import Target
from fastapi_operator.reconcile.write.outcome import Outcome
from fastapi_operator.reconcile.write.record_writer import RecordWriter
from fastapi_operator.resources.desired import ObjectKey

# How often both versions are looked at, and how often their counts are stored if nothing follows
# from them: a proxy that ends in between loses them.
LOOK_SECONDS = 5.0
STORE_SECONDS = 15.0
# A record that changes more often in one reconciliation is a bug; the next one continues.
TRANSITIONS_AT_ONCE = 8
_JUDGED = frozenset({Phase.PROGRESSING, Phase.HOLDING})

_log = structlog.get_logger(__name__)


class Looks(Protocol):
    """Reads the metrics of both versions, and returns the judge's verdict."""

    async def look(self, owner: Owner, target: Target, now: float) -> Look | None:
        """Returns a new look; None if there is nothing to look at."""


class Canaries:
    """Moves the canaries of services on; their state is in their records alone."""

    def __init__(
        self,
        client: Client,
        store: Store,
        looks: Looks,
    ) -> None:
        self._client = client
        self._store = store
        self._writer = RecordWriter(client, store)
        self._looks = looks
        self._looked_at: dict[ServiceKey, float] = {}

    def forget(self, key: ServiceKey) -> None:
        """Drops a deleted service."""
        self._looked_at.pop(key, None)

    async def advance(
        self,
        target: Target,
        find: Callable[[], Target],
        owner: Owner,
        diagnoses: Mapping[ObjectKey, Health],
        outcome: Outcome,
    ) -> Target:
        """Writes the records that follow from the live objects, and returns the target after them.

        If a record cannot be written, no effect of it happens.

        Args:
            target: The target of the stored record.
            find: Returns it again after the record was written.
            owner: The service.
            diagnoses: Why pods do not become ready.
            outcome: Gets the error if a record cannot be written.
        """
        look = await self._look(owner, target)
        for _ in range(TRANSITIONS_AT_ONCE):
            record, following = _record_of(target), self._following(target, look, diagnoses)
            if target.state.suspended or not _is_due(record, following):
                break
            if not await self._write(record, following, owner, outcome):
                break
            # The verdict was about the state before.
            target, look = find(), None
        return target

    def requeue_after(self, target: Target) -> float | None:
        """Returns the seconds until a canary is looked at again; None without one."""
        record = _record_of(target)
        if record is None or record.phase is Phase.ABORTED:
            return None
        is_settled = target.canary is not None and target.canary.situation.settled
        return None if record.failed and is_settled else LOOK_SECONDS

    async def _look(self, owner: Owner, target: Target) -> Look | None:
        record = _record_of(target)
        if record is None or not _is_looked_at(target, record):
            return None
        if target.state.suspended:
            return None
        now = steady.now()
        if now - self._looked_at.get(owner.key, 0.0) < LOOK_SECONDS:
            return None
        self._looked_at[owner.key] = now
        return await self._looks.look(owner, target, now)

    def _following(
        self, target: Target, look: Look | None, diagnoses: Mapping[ObjectKey, Health]
    ) -> CanaryRecord | None:
        canary = target.canary
        if canary is None:
            return None
        why, lacks_room = self._diagnosis(target, diagnoses)
        situation = dataclasses.replace(canary.situation, diagnosis=why, lacks_room=lacks_room)
        return next_record(canary.record, situation, look, int(steady.now()))

    def _diagnosis(self, target: Target, diagnoses: Mapping[ObjectKey, Health]) -> tuple[str, bool]:
        """Returns why pods of the canary do not become ready, and whether none can run."""
        for owned in target.desired:
            if owned.desired.part is not Part.CANARY or owned.key.kind != DEPLOYMENT.kind:
                continue
            if (found := diagnoses.get(owned.key)) is not None:
                return found.message, found.reason in NEVER_RUNS
            child = self._store.child(owned.key)
            if child is not None and child.health.failed and child.replicas is not None:
                # For example, a ResourceQuota refused its first pod.
                return child.health.message, not child.replicas.live
        return "", False

    async def _write(
        self,
        record: CanaryRecord | None,
        following: CanaryRecord | None,
        owner: Owner,
        outcome: Outcome,
    ) -> bool:
        body = following.to_body(owner) if following is not None else None
        if not await self._writer.write(record_key(owner), body, owner, outcome):
            return False
        if following is None or record is None or record.phase is not following.phase:
            _log.info(
                "canary",
                service=owner.name,
                namespace=owner.namespace,
                phase=following.phase.value if following is not None else "none",
                before=record.phase.value if record is not None else "none",
                reason=following.reason if following is not None else "",
            )
        return not self._client.dry_run


def _is_looked_at(target: Target, record: CanaryRecord) -> bool:
    """Whether the metrics of both versions decide the next state."""
    if record.phase is not Phase.STARTING:
        return record.phase in _JUDGED and not record.failed
    situation = target.canary.situation if target.canary is not None else None
    course = situation.course if situation is not None else None
    if situation is None or course is None or course.divided_by.counts_versions:
        return False
    return situation.canary_pods >= record.pods


def _record_of(target: Target) -> CanaryRecord | None:
    return target.canary.record if target.canary is not None else None


def _is_due(record: CanaryRecord | None, following: CanaryRecord | None) -> bool:
    """Whether the next record must be written now."""
    if record is None or following is None:
        return record is not following
    same = dataclasses.replace(following, look=record.look) == record
    return not same or following.look.at >= record.look.at + STORE_SECONDS
