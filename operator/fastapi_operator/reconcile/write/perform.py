"""Performs the steps of a pass: the only place from which the cluster is changed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import structlog

from fastapi_operator import naming
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import (
    CONTROLLER_REVISION,
    JOB,
    STATEFUL_SET,
    Kind,
    owned_kind,
)
from fastapi_operator.reconcile.observe.identity import Key, Owner
from fastapi_operator.reconcile.observe.observed import Child, Phase, Rotation
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.plan import release
from fastapi_operator.reconcile.plan.owned_object import completed
from fastapi_operator.reconcile.plan.refusals import Refusal
from fastapi_operator.reconcile.plan.steps import Action, Step, Steps
from fastapi_operator.reconcile.write import ownership, volumes
from fastapi_operator.reconcile.write.brakes import Brakes
from fastapi_operator.reconcile.write.credentials import filled, renewed, switched
from fastapi_operator.resources.desired import ObjectKey

_log = structlog.get_logger(__name__)

# What is trimmed as it grows, one for each that was added; the brake is for what vanishes at once.
_HISTORY = frozenset({CONTROLLER_REVISION.kind, JOB.kind})

Writer = Callable[[Step, Owner], Awaitable[None]]


class ServiceGoneError(Exception):
    """The namespace or the service is going: nothing more can or should be written."""


@dataclass
class Outcome:
    """What became of the steps.

    Attributes:
        done: What was written or deleted, for the log.
        refusals: Writes that were refused.
        held: Objects of a former owner that must be collected first.
        failure: The first error that may pass by itself; the pass is then tried again.
        gone: The answer that says that the namespace is going.
        braked: Deletes were left for later.
    """

    done: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    held: list[ObjectKey] = field(default_factory=list)
    failure: ApiError | None = None
    gone: ApiError | None = None
    braked: bool = False


class Performer:
    """Writes and deletes for one service at a time, many services side by side."""

    def __init__(
        self,
        client: Client,
        store: Store,
        brakes: Brakes,
        *,
        wake: Callable[[Key], None],
        count: Callable[[str, str], None] = lambda _kind, _why: None,
    ) -> None:
        self._client = client
        self._store = store
        self._brakes = brakes
        self._wake = wake
        self._count = count
        self._writers: Mapping[Action, Writer] = {
            Action.FIRST: self._first,
            Action.APPLY: self._apply,
            Action.CREATE: self._create,
            Action.OWN: self._own,
            Action.DISOWN: self._own,
            Action.RESIZE: self._resize,
            Action.ROTATE: self._rotate,
            Action.INSPECT: self._inspected,
        }

    async def perform(self, steps: Steps, owner: Owner) -> Outcome:
        """Performs the steps in their order; one that fails does not hold up the others.

        Raises:
            ServiceGoneError: The namespace is being deleted.
        """
        outcome = Outcome()
        self._store.adopt(steps.adopted)
        try:
            await self._waves(steps.before, owner, outcome)
            if await self._release(steps, owner, outcome):
                await self._waves(steps.after, owner, outcome)
            if outcome.failure is None:
                await self._prune(steps.deletes, outcome)
        finally:
            if outcome.done:
                _log.info(
                    "wrote", service=owner.name, namespace=owner.namespace, objects=outcome.done
                )
        return outcome

    async def _waves(self, steps: Sequence[Step], owner: Owner, outcome: Outcome) -> None:
        for _, wave in groupby(steps, key=lambda step: _kind(step.key).wave):
            await asyncio.gather(*(self._attempt(step, owner, outcome) for step in wave))
            if outcome.gone is not None:
                raise ServiceGoneError(str(outcome.gone))

    async def _attempt(self, step: Step, owner: Owner, outcome: Outcome) -> None:
        if self._brakes.is_loop(step.key, step.content):
            other = self._store.editor(step.key)
            outcome.refusals.append(
                Refusal(
                    step.key,
                    "DriftLoop",
                    f"{step.key} is changed again each time it is written"
                    + (f", last by {other}" if other else "")
                    + "; stop whatever changes it, or say what it wants in the FastAPIService",
                )
            )
            return
        try:
            await self._writers[step.action](step, owner)
        except _RefusedError as error:
            outcome.refusals.append(error.refusal)
        except _HeldError:
            outcome.held.append(step.key)
        except ApiError as error:
            _sort_error(error, step.key, outcome)
        else:
            self._brakes.wrote(step.key, step.content)
            self._count(step.key.kind, step.why)
            outcome.done.append(f"{step.action.value} {step.key.kind}/{step.key.name}: {step.why}")

    async def _first(self, step: Step, owner: Owner) -> None:
        body = completed(step.sealed, None, self._store.values.known)
        try:
            answer = await self._client.apply(_kind(step.key), body, only_create=True)
        except ApiError as error:
            if error.status != 409:
                raise
            await self._inspected(step, owner)
            return
        self._wrote(step.key, answer)

    async def _apply(self, step: Step, _owner: Owner) -> None:
        # As it is now: a Secret of this service may have been made a moment ago.
        body = completed(step.sealed, step.child, self._store.values.known)
        try:
            answer = await self._client.apply(_kind(step.key), body)
        except ApiError as error:
            if not error.immutable_fields:
                raise
            await self._recreate(step, error)
            return
        self._wrote(step.key, answer)

    async def _recreate(self, step: Step, error: ApiError) -> None:
        """Deletes what cannot be changed in place; its going starts the pass that makes it anew."""
        key, child = step.key, step.child
        if key.kind == STATEFUL_SET.kind:
            raise _RefusedError(
                Refusal(
                    key,
                    "ImmutableField",
                    f"{key}: {', '.join(error.immutable_fields)} cannot be changed in place, and "
                    "its pods hold data; when a restart suits, run kubectl delete statefulset "
                    f"{key.name} -n {key.namespace} --cascade=orphan: volumes stay, and it is "
                    "made anew at once",
                )
            )
        if child is None or not self._brakes.may_delete():
            raise _HeldError from error
        await self._client.delete(_kind(key), key.namespace, key.name, uid=child.uid)
        self._brakes.deleted()
        if not self._client.dry_run:
            self._store.note_deleting(child)

    async def _create(self, step: Step, owner: Owner) -> None:
        if step.volume is not None:
            await self._existing_credentials(step, owner)
            return
        body, generated = step.sealed.body, step.sealed.desired.generate
        if generated is not None and not self._client.dry_run:
            body = filled(body, generated)
        try:
            answer = await self._client.create(_kind(step.key), body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            await self._inspected(step, owner)
            return
        self._wrote(step.key, answer)

    async def _existing_credentials(self, step: Step, owner: Owner) -> None:
        """The data is there: its credentials must be found, never made anew."""
        if await self._client.get(_kind(step.key), step.key.namespace, step.key.name) is None:
            raise _RefusedError(
                Refusal(
                    step.key,
                    "CredentialsLost",
                    f"{step.key} is missing, while {step.volume} holds data that only its values "
                    f"open; restore the Secret from a backup, or delete {step.volume} to begin "
                    "with an empty database",
                )
            )
        await self._inspected(step, owner)

    async def _own(self, step: Step, owner: Owner) -> None:
        assert step.child is not None
        references = [owner.reference] if step.action is Action.OWN else None
        patch = {"metadata": {"uid": step.child.uid, "ownerReferences": references}}
        kind = _kind(step.key)
        answer = await self._client.merge(kind, step.key.namespace, step.key.name, patch)
        self._wrote(step.key, answer)

    async def _resize(self, step: Step, _owner: Owner) -> None:
        """Makes a claim larger; its other wishes cannot be granted, since its volume holds data."""
        kind, key, wanted = _kind(step.key), step.key, step.sealed.body
        live = await self._client.get(kind, key.namespace, key.name)
        if live is None:
            raise _HeldError
        reason = volumes.impossible(key, live, wanted)
        if reason:
            raise _RefusedError(Refusal(key, "ImmutableField", reason))
        patch = volumes.growth(live, wanted)
        try:
            self._wrote(key, await self._client.merge(kind, key.namespace, key.name, patch))
        except ApiError as error:
            if "spec" not in patch or error.status not in (403, 422):
                raise
            told = volumes.refused_growth(key, error.message)
            raise _RefusedError(Refusal(key, "VolumeNotExpandable", told)) from error

    async def _rotate(self, step: Step, owner: Owner) -> None:
        """Takes a Secret's credentials one phase further, where they are still in the last."""
        kind, key, after = _kind(step.key), step.key, step.rotation
        generated = step.sealed.desired.generate
        assert step.child is not None and generated is not None and after is not None
        live = await self._client.get(kind, key.namespace, key.name)
        if live is None or Rotation.of(live) != step.child.rotation:
            raise _HeldError
        change = {Phase.SWITCHED: switched, Phase.CLOSED: renewed}.get(after.phase)
        try:
            data = change(live.get("data") or {}, generated) if change else {}
        except KeyError as error:
            told = f"{key} has no key {error}, so that its credentials cannot rotate; restore it"
            raise _RefusedError(Refusal(key, "CredentialsLost", told)) from error
        metadata = {
            # Nobody may have changed it since it was read.
            **{name: live["metadata"][name] for name in ("uid", "resourceVersion")},
            "annotations": {naming.ROTATION_ANNOTATION: after.text},
        }
        patch = {"metadata": metadata, **({"data": data} if data else {})}
        self._wrote(key, await self._client.merge(kind, key.namespace, key.name, patch))
        if not self._client.dry_run:
            self._wake(Key(owner.namespace, owner.name))

    async def _inspected(self, step: Step, owner: Owner) -> None:
        """The name is in use: goes on where the object is ours, refuses where it is not."""
        kind, key, desired = _kind(step.key), step.key, step.sealed.desired
        body = await self._client.get(kind, key.namespace, key.name)
        if body is None or ownership.is_going(body, owner):
            raise _HeldError
        taken = ownership.taken(key, body, owner)
        if taken:
            raise _RefusedError(Refusal(key, "NameTaken", taken))
        labels = body["metadata"].get("labels") or {}
        if desired.write.value == "CreateOnce" and labels.get(naming.WATCHED_LABEL):
            self._store.put_child(kind, body)
            return
        if desired.write.value == "CreateOnce":
            # It is ours by its owner, but lost the labels by which it is watched.
            patch = {
                "metadata": {
                    "uid": body["metadata"]["uid"],
                    "labels": desired.body["metadata"].get("labels", {}),
                }
            }
            self._wrote(key, await self._client.merge(kind, key.namespace, key.name, patch))
            return
        self._store.put_child(kind, body)
        child = self._store.child(key)
        wanted = completed(step.sealed, child, self._store.values.known)
        self._wrote(key, await self._client.apply(kind, wanted))

    async def _release(self, steps: Steps, owner: Owner, outcome: Outcome) -> bool:
        """Writes the release record; without it nothing of the new release is written."""
        if steps.release is None:
            return True
        body = release.to_body(steps.release, owner)
        key = ObjectKey("apps", "ControllerRevision", owner.namespace, body["metadata"]["name"])
        try:
            self._wrote(key, await self._client.create(CONTROLLER_REVISION, body))
        except ApiError as error:
            _sort_error(error, key, outcome)
            return False
        outcome.done.append(f"create {key.kind}/{key.name}: release")
        self._count(key.kind, "release")
        return True

    async def _prune(self, children: Sequence[Child], outcome: Outcome) -> None:
        for child in children:
            key = child.key
            if key.kind not in _HISTORY and not self._brakes.may_delete():
                _log.error("pruning stopped", reason="too many deletes in a minute")
                outcome.braked = True
                return
            try:
                await self._client.delete(_kind(key), key.namespace, key.name, uid=child.uid)
            except ApiError as error:
                if error.status not in (404, 409):
                    _sort_error(error, key, outcome)
                continue
            outcome.done.append(f"delete {key.kind}/{key.name}: unwanted")
            if key.kind not in _HISTORY:
                self._brakes.deleted()
            self._count(key.kind, "unwanted")
            if not self._client.dry_run:
                self._store.note_deleting(child)

    def _wrote(self, key: ObjectKey, answer: Mapping[str, Any]) -> None:
        if self._client.dry_run:
            return
        kind = _kind(key)
        change = self._store.put_child(kind, answer, written=True)
        if change is not None:
            self._wake(change.key)
        for user in self._store.put_values(kind, answer):
            self._wake(user)


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class _HeldError(Exception):
    """The old object must be collected first."""


def _kind(key: ObjectKey) -> Kind:
    return owned_kind(key.group, key.kind)


def _sort_error(error: ApiError, key: ObjectKey, outcome: Outcome) -> None:
    if error.namespace_is_going:
        outcome.gone = error
    elif error.other_managers:
        managers = ", ".join(error.other_managers)
        fields = ", ".join(name for name, _ in error.causes)
        message = f"{key}: {fields} is held by {managers}"
        outcome.refusals.append(Refusal(key, "Conflict", message))
    elif error.temporary:
        outcome.failure = outcome.failure or error
    elif "exceeded quota" in error.message:
        outcome.refusals.append(Refusal(key, "QuotaExceeded", f"{key}: {error.message}"))
    else:
        reason = {403: "Forbidden", 404: "KindNotServed"}.get(error.status, "Invalid")
        told = f"{key}: {error.message}"
        outcome.refusals.append(Refusal(key, reason, told, faults=error.faults))
