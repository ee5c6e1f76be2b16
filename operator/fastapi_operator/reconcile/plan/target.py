"""The objects that a reconciliation works towards: the desired ones, or the last release."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Observed
from fastapi_operator.reconcile.plan.desired_state import DesiredState
from fastapi_operator.reconcile.plan.desired_state_cache import DesiredStateCache
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
        migration_key: Key of the desired migration; None if there is none.
        has_release: Whether the service has a release record.
    """

    state: DesiredState
    desired: tuple[OwnedObject, ...]
    released: tuple[OwnedObject, ...]
    gates: frozenset[Gate]
    spec: Mapping[str, object] | None
    migration_key: str | None
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
        return frozenset(
            key for owned in (*self.desired, *self.released) for key in owned.references
        )


def find_target(
    states: DesiredStateCache,
    body: Mapping[str, Any],
    owner: Owner,
    facts: Facts,
    observed: Observed,
) -> Target:
    """Builds the desired state, and that of the last release if it is still needed."""

    def gates_of(chosen: DesiredState) -> frozenset[Gate]:
        return find_open_gates(
            chosen.objects, observed, owner=owner, migration_key=chosen.migration_key
        )

    state, desired = states.get(body, owner, facts)
    gates, spec, release = gates_of(state), body["spec"], observed.release
    if release is None or (not state.error and Gate.MIGRATED in gates):
        return Target(state, desired, (), gates, spec, state.migration_key, release is not None)
    old_state, released = states.get({**body, "spec": release.spec}, owner, facts)
    if not state.error:
        # If the last release cannot be built, the app is what the status still waits for.
        usable = old_state.error is None
        return Target(state, desired, released, gates, spec, state.migration_key, usable)
    # The last valid plan is kept, in all of its parts, until the spec is fixed.
    gates = gates_of(old_state)
    return Target(state, released, released, gates, None, old_state.migration_key, True)
