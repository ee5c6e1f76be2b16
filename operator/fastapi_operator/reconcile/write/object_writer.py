"""Writes one object: one function for each action."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import STATEFUL_SET, Kind, owned_kind
from fastapi_operator.reconcile.observe.identity import Owner, ServiceKey
from fastapi_operator.reconcile.observe.observed import Phase, Rotation
from fastapi_operator.reconcile.observe.projection import digest, find_uncovered, owned_paths
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.plan.database import begin_empty_command, find_sharing
from fastapi_operator.reconcile.plan.owned_object import complete_body, without
from fastapi_operator.reconcile.plan.refusals import Refusal
from fastapi_operator.reconcile.plan.steps import Action, Step
from fastapi_operator.reconcile.write import ownership, volumes
from fastapi_operator.reconcile.write.brakes import Brakes
from fastapi_operator.reconcile.write.credentials import (
    fill_credentials,
    renew_unused_password,
    switch_user,
)
from fastapi_operator.reconcile.write.outcome import BlockedError, RefusedError
from fastapi_operator.resources.desired import ObjectKey, Write


class ObjectWriter:
    """Writes single objects and stores the responses."""

    def __init__(
        self,
        client: Client,
        store: Store,
        brakes: Brakes,
        *,
        wake: Callable[[ServiceKey], None],
    ) -> None:
        self._client = client
        self._store = store
        self._brakes = brakes
        self._wake = wake
        self._sharing = asyncio.Lock()
        self._actions: Mapping[Action, Callable[[Step, Owner], Awaitable[None]]] = {
            Action.FIRST: self._first,
            Action.APPLY: self._apply,
            Action.CREATE: self._create,
            Action.OWN: self._own,
            Action.DISOWN: self._own,
            Action.RESIZE: self._resize,
            Action.ROTATE: self._rotate,
            Action.INSPECT: self._inspect,
        }

    async def write(self, step: Step, owner: Owner) -> None:
        """Performs one step.

        Raises:
            ApiError: The API server returned an error.
            BlockedError: An old object must be deleted first.
            RefusedError: The object cannot be written until a person changes something.
        """
        if step.child is not None:
            self._refuse_loop(step, step.child.uid)
        # Computed before the write: it may change the live object from which replicas are taken.
        content = self._content(step)
        await self._actions[step.action](step, owner)
        written = self._store.child(step.key)
        if written is not None and not self._client.dry_run:
            self._brakes.wrote(step.key, written.uid, content)

    def _content(self, step: Step) -> str:
        """Returns the digest of the content that a step sends, with stamp and replicas."""
        if step.rotation is not None:
            return step.rotation.text
        if step.owned.desired.write is Write.CREATE_ONCE:
            return step.owned.built_digest
        return digest(complete_body(step.owned, step.child, self._store.values.known))

    def _refuse_loop(self, step: Step, uid: str) -> None:
        """Refuses a write that another client reverts each time."""
        key = step.key
        if not self._brakes.is_loop(key, uid, self._content(step)):
            return
        editor = self._store.last_editor(key)
        raise RefusedError(
            Refusal(
                key,
                "DriftLoop",
                f"{key} is changed again after each write"
                + (f", last by {editor}" if editor else "")
                + "; stop the client that changes it, or set the same values in the FastAPIService",
            )
        )

    def put(
        self,
        key: ObjectKey,
        response: Mapping[str, Any],
        *,
        applied: Mapping[str, Any] | None = None,
    ) -> None:
        """Stores the response to a write, and wakes the services that it affects.

        Args:
            key: The identity of the object.
            response: The object as it is now.
            applied: The body that was applied; None for other writes.
        """
        if self._client.dry_run:
            return
        kind = kind_of(key)
        overridden = find_uncovered(owned_paths(response), applied) if applied else ()
        change = self._store.put_child(kind, response, written=True, overridden=tuple(overridden))
        if change is not None:
            self._wake(change.key)
        for reader in self._store.put_values(kind, response):
            self._wake(reader)

    async def _first(self, step: Step, owner: Owner) -> None:
        body = complete_body(step.owned, None, self._store.values.known)
        try:
            response = await self._client.apply(kind_of(step.key), body, only_create=True)
        except ApiError as error:
            if error.status != 409:
                raise
            await self._inspect(step, owner)
            return
        self.put(step.key, response, applied=step.owned.body)

    async def _apply(self, step: Step, _owner: Owner) -> None:
        # With the newest values: a Secret of this service may have been created a moment ago.
        values = without(self._store.values.known, step.held)
        body = complete_body(step.owned, step.child, values)
        try:
            response = await self._client.apply(kind_of(step.key), body)
        except ApiError as error:
            if not error.immutable_fields:
                raise
            await self._delete_to_recreate(step, error)
            return
        self.put(step.key, response, applied=step.owned.body)

    async def _delete_to_recreate(self, step: Step, error: ApiError) -> None:
        """Deletes an object with a changed immutable field; the delete event recreates it."""
        key, child = step.key, step.child
        if key.kind == STATEFUL_SET.kind:
            raise RefusedError(
                Refusal(
                    key,
                    "ImmutableField",
                    f"{key}: {', '.join(error.immutable_fields)} cannot be changed in place, and "
                    "its pods hold data; when a restart is acceptable, run: kubectl delete "
                    f"statefulset {key.name} -n {key.namespace} --cascade=orphan; the volumes are "
                    "kept, and the operator recreates it at once",
                )
            )
        if child is None or not self._brakes.may_delete():
            raise BlockedError from error
        await self._client.delete(kind_of(key), key.namespace, key.name, uid=child.uid)
        self._brakes.deleted()
        if not self._client.dry_run:
            self._store.note_deleting(child)

    async def _create(self, step: Step, owner: Owner) -> None:
        if step.volume is not None:
            await self._find_credentials(step, owner)
            return
        if step.address is None:
            await self._post(step, owner)
            return
        # Between this check and the response, no other Job for this database is created.
        async with self._sharing:
            if find_sharing(step.address, self._store.shared_migrations(owner.uid)):
                raise BlockedError
            await self._post(step, owner)

    async def _post(self, step: Step, owner: Owner) -> None:
        body, generated = step.owned.body, step.owned.desired.generate
        if generated is not None and not self._client.dry_run:
            body = fill_credentials(body, generated)
        try:
            response = await self._client.create(kind_of(step.key), body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            await self._inspect(step, owner)
            return
        self.put(step.key, response)

    async def _find_credentials(self, step: Step, owner: Owner) -> None:
        """Finds the credentials of existing data; they are never generated again."""
        assert step.volume is not None
        volume = self._store.child(step.volume)
        if await self._client.get(kind_of(step.key), step.key.namespace, step.key.name) is None:
            raise RefusedError(
                Refusal(
                    step.key,
                    "CredentialsLost",
                    f"{step.key} is missing, but {step.volume} has data that needs its password; "
                    "restore the Secret from a backup. To lose the data and begin empty, delete "
                    f"the PersistentVolumeClaim {step.volume.name} and run: "
                    + begin_empty_command(owner, volume.uid if volume else "UID"),
                )
            )
        await self._inspect(step, owner)

    async def _own(self, step: Step, owner: Owner) -> None:
        assert step.child is not None
        references = [owner.reference] if step.action is Action.OWN else None
        await self._merge(
            step.key, {"metadata": {"uid": step.child.uid, "ownerReferences": references}}
        )

    async def _resize(self, step: Step, _owner: Owner) -> None:
        """Enlarges a PersistentVolumeClaim; its other fields cannot change, as it has data."""
        key, desired = step.key, step.owned.body
        live = await self._client.get(kind_of(key), key.namespace, key.name)
        if live is None:
            raise BlockedError
        reason = volumes.why_not_resizable(key, live, desired)
        if reason:
            is_warning = step.owned.desired.is_default
            raise RefusedError(Refusal(key, "ImmutableField", reason, is_warning=is_warning))
        patch = volumes.resize_patch(live, desired)
        try:
            await self._merge(key, patch)
        except ApiError as error:
            if "spec" not in patch or error.status not in (403, 422):
                raise
            message = volumes.explain_refused_resize(key, error.message)
            raise RefusedError(Refusal(key, "VolumeNotExpandable", message)) from error

    async def _rotate(self, step: Step, owner: Owner) -> None:
        """Moves the rotation of a Secret one phase on, if it is still in the phase before."""
        key, rotation, generated = step.key, step.rotation, step.owned.desired.generate
        assert step.child is not None and generated is not None and rotation is not None
        live = await self._client.get(kind_of(key), key.namespace, key.name)
        if live is None or Rotation.of(live) != step.child.rotation:
            raise BlockedError
        change = {Phase.SWITCHED: switch_user, Phase.CLOSED: renew_unused_password}.get(
            rotation.phase
        )
        try:
            data = change(live.get("data") or {}, generated) if change else {}
        except KeyError as error:
            message = f"{key} has no key {error}, so its credentials cannot rotate; restore the key"
            raise RefusedError(Refusal(key, "CredentialsLost", message)) from error
        metadata = {
            # The resourceVersion makes the patch fail if the Secret was changed since it was read.
            **{name: live["metadata"][name] for name in ("uid", "resourceVersion")},
            "annotations": {naming.ROTATION_ANNOTATION: rotation.text},
        }
        await self._merge(key, {"metadata": metadata, **({"data": data} if data else {})})
        if not self._client.dry_run:
            self._wake(owner.key)

    async def _inspect(self, step: Step, owner: Owner) -> None:
        """Reads an existing object: writes it if the service owns it, or else refuses."""
        kind, key, desired = kind_of(step.key), step.key, step.owned.desired
        body = await self._client.get(kind, key.namespace, key.name)
        if body is None:
            raise BlockedError
        is_created_once = desired.write.value == "CreateOnce"
        once, digest = is_created_once or desired.retain, step.owned.built_digest
        ownership.check_name(key, body, owner, once=once, digest=digest)
        self._refuse_loop(step, body["metadata"]["uid"])
        labels = body["metadata"].get("labels") or {}
        if is_created_once and not labels.get(naming.WATCHED_LABEL):
            # The service owns it, but it lost the labels by which it is watched.
            patch = {
                "uid": body["metadata"]["uid"],
                "labels": desired.body["metadata"].get("labels", {}),
            }
            await self._merge(key, {"metadata": patch})
            return
        self._store.put_child(kind, body)
        if not is_created_once:
            child = self._store.child(key)
            complete = complete_body(step.owned, child, self._store.values.known)
            self.put(key, await self._client.apply(kind, complete))

    async def _merge(self, key: ObjectKey, patch: Mapping[str, Any]) -> None:
        self.put(key, await self._client.merge(kind_of(key), key.namespace, key.name, patch))


def kind_of(key: ObjectKey) -> Kind:
    """Returns the kind of an owned object."""
    return owned_kind(key.group, key.kind)
