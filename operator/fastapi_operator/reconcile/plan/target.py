"""The objects that a reconciliation works towards: the desired ones, or the last release."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import JOB
from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Observed
from fastapi_operator.reconcile.observe.references import find_pod_references
from fastapi_operator.reconcile.plan.database import (
    Database,
    find_sharing,
    identify_database,
    keyed_hash,
)
from fastapi_operator.reconcile.plan.desired_state import DesiredState
from fastapi_operator.reconcile.plan.desired_state_cache import DesiredStateCache
from fastapi_operator.reconcile.plan.migrations import Migration, find_migration, name_job
from fastapi_operator.reconcile.plan.owned_object import OwnedObject
from fastapi_operator.reconcile.plan.steps import find_open_gates, objects_in_force
from fastapi_operator.resources.desired import Gate, ObjectKey


@dataclass(frozen=True)
class Target:
    """The objects that a reconciliation works towards.

    Attributes:
        state: The desired state of the stored spec.
        desired: Its objects; those of the last release if the spec is invalid.
        released: The objects of the last release; empty if they are not needed.
        gates: The gates that are open.
        spec: The spec to record as released; None if it must not be recorded.
        migration: The desired migration; None if there is none.
        database: The identity of the database and its volumes.
        has_release: Whether the service has a release record.
    """

    state: DesiredState
    desired: tuple[OwnedObject, ...]
    released: tuple[OwnedObject, ...]
    gates: frozenset[Gate]
    spec: Mapping[str, object] | None
    migration: Migration | None
    database: Database
    has_release: bool

    @property
    def objects(self) -> tuple[OwnedObject, ...]:
        """The objects to keep now; without a release there is nothing else to keep."""
        if not self.has_release:
            return self.desired
        return objects_in_force(self.desired, self.released, self.gates)

    @property
    def references(self) -> frozenset[ObjectKey]:
        """The Secrets and ConfigMaps that the pods read."""
        objects = (*self.desired, *self.released)
        workloads = {key for owned in objects for key in owned.references}
        jobs = {
            key
            for owned in objects
            if owned.key.kind == JOB.kind
            for key in find_pod_references(owned.body)
        }
        return frozenset(workloads | jobs | self.database.secrets)


def find_target(
    states: DesiredStateCache,
    body: Mapping[str, Any],
    owner: Owner,
    facts: Facts,
    observed: Observed,
) -> Target:
    """Builds the desired state, and that of the last release if it is still needed."""
    begin_empty = body["metadata"]["annotations"].get(naming.BEGIN_EMPTY_ANNOTATION, "")

    def build(spec: Mapping[str, Any]) -> _Built:
        state, objects = states.get({**body, "spec": spec}, owner, facts)
        return _build(state, objects, owner, observed, begin_empty)

    wanted, spec, release = build(body["spec"]), body["spec"], observed.release
    if release is None or (not wanted.state.error and Gate.MIGRATED in wanted.gates):
        return wanted.target(spec=spec, has_release=release is not None)
    old = build(release.spec)
    if not wanted.state.error:
        # If the last release cannot be built, the app is what the status still waits for.
        usable = old.state.error is None
        return wanted.target(released=old.objects, spec=spec, has_release=usable)
    # The last valid plan is kept, in all of its parts, until the spec is fixed.
    kept = old.target(released=old.objects, spec=None, has_release=True)
    return replace(kept, state=wanted.state)


@dataclass(frozen=True)
class _Built:
    """A desired state, with the facts about it that follow from live objects."""

    state: DesiredState
    objects: tuple[OwnedObject, ...]
    database: Database
    migration: Migration | None
    gates: frozenset[Gate]

    def target(
        self,
        *,
        spec: Mapping[str, object] | None,
        has_release: bool,
        released: tuple[OwnedObject, ...] = (),
    ) -> Target:
        return Target(
            state=self.state,
            desired=self.objects,
            released=released,
            gates=self.gates,
            spec=spec,
            migration=self.migration,
            database=self.database,
            has_release=has_release,
        )


def _build(
    state: DesiredState,
    objects: tuple[OwnedObject, ...],
    owner: Owner,
    observed: Observed,
    begin_empty: str,
) -> _Built:
    database = identify_database(state, observed, owner, begin_empty=begin_empty)
    migration = find_migration(
        state.objects,
        observed,
        owner,
        request=state.migration_key,
        database=database.identity,
        elsewhere=find_sharing(database.address, observed.elsewhere),
    )
    if migration is not None:
        address = database.address
        shared = keyed_hash(owner.uid, address) if address is not None else ""
        objects = tuple(
            name_job(owned, migration, owner, shared) if owned.key.kind == JOB.kind else owned
            for owned in objects
        )
    gates = find_open_gates(state.objects, observed, owner=owner, migration=migration)
    return _Built(state, objects, database, migration, gates)
