"""The objects that a reconciliation works towards: the desired ones, or the last release."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import CONFIG_MAP, JOB
from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Observed
from fastapi_operator.reconcile.observe.references import find_pod_references
from fastapi_operator.reconcile.observe.tuning_record import Aim, Trial, TuningRecord
from fastapi_operator.reconcile.plan.canary_situation import Situation, hash_spec, is_promoted
from fastapi_operator.reconcile.plan.canary_stage import closed_stage, stage_of
from fastapi_operator.reconcile.plan.canary_target import (
    CanaryTarget,
    are_ready,
    divides_requests,
    find_situation,
    hash_template,
    held_annotations,
    is_settled,
    ready_pods,
    service_of_canary,
)
from fastapi_operator.reconcile.plan.certificates import certificate_secrets
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
from fastapi_operator.reconcile.plan.preflights import Preflight, find_preflight, name_request
from fastapi_operator.reconcile.plan.steps import (
    canary_children,
    find_open_gates,
    objects_in_force,
)
from fastapi_operator.resources.desired import Gate, ObjectKey
from fastapi_operator.resources.stage import Stage
from fastapi_operator.tuning.automatic import is_automatic
from fastapi_operator.tuning.canary import Divider
from fastapi_operator.tuning.measurements import NOT_MEASURED, Measurements
from fastapi_operator.tuning.plan import Plan


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
        preflight: The desired preflight; None if there is none.
        database: The identity of the database and its volumes.
        has_release: Whether the service has a release record.
        rotate: The request to rotate the credentials; one that was made during a canary waits.
        canary: Its canary; None if there is none and none can begin.
        tuning: What automatic tuning remembers; None without a record.
        trial: The objects with the numbers that are tried; None without a trial.
        tried: The plan with these numbers; None without a trial.
    """

    state: DesiredState
    desired: tuple[OwnedObject, ...]
    released: tuple[OwnedObject, ...]
    gates: frozenset[Gate]
    spec: Mapping[str, object] | None
    migration: Migration | None
    preflight: Preflight | None
    database: Database
    has_release: bool
    rotate: str = ""
    canary: CanaryTarget | None = None
    tuning: TuningRecord | None = None
    trial: tuple[OwnedObject, ...] | None = None
    tried: Plan | None = None

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
        return frozenset(workloads | jobs | self.database.secrets | self.certificates)

    @property
    def certificates(self) -> frozenset[ObjectKey]:
        """The Secrets with the certificates of Ingresses."""
        return certificate_secrets(self.objects)


def find_target(
    states: DesiredStateCache,
    body: Mapping[str, Any],
    owner: Owner,
    facts: Facts,
    observed: Observed,
    *,
    clocks: Collection[float],
) -> Target:
    """Builds the desired state, and that of the last release if it is still needed.

    Args:
        states: The desired states that are kept.
        body: The service.
        owner: The service, as an owner.
        facts: The facts about its cluster.
        observed: Its live objects.
        clocks: The time by each clock, in seconds since 1970.
    """
    record, release = observed.canary(owner.uid), observed.release
    annotations = held_annotations(body["metadata"]["annotations"], record)
    held = {**body, "metadata": {**body["metadata"], "annotations": annotations}}
    tuning = observed.tuning(owner.uid)
    accepted = tuning.measurements if tuning is not None else NOT_MEASURED
    builder = _Builder(states, held, owner, facts, observed, accepted)
    wanted = builder.build(body["spec"])
    has_canary = (
        wanted.state.course is not None
        or record is not None
        or bool(canary_children(owner, observed))
    )
    is_enough = not wanted.state.error and Gate.MIGRATED in wanted.gates
    old = None
    if release is not None and (has_canary or not is_enough):
        old = builder.build(release.spec)
    target = _target_of(wanted, old, body["spec"], has_release=release is not None)
    if has_canary:
        target = _with_canary(target, wanted, old, builder, body, clocks=clocks)
    rotate = annotations.get(naming.ROTATE_ANNOTATION, "")
    return replace(target, rotate=rotate, tuning=observed.tuning(owner.uid))


def _target_of(
    wanted: "_Built", old: "_Built | None", spec: Mapping[str, Any], *, has_release: bool
) -> Target:
    """Returns the target without a canary."""
    if wanted.state.error and old is not None:
        # The last valid plan is kept, in all of its parts, until the spec is fixed.
        kept = old.target(released=old.objects, spec=None, has_release=True)
        return replace(kept, state=wanted.state)
    if old is None or Gate.MIGRATED in wanted.gates:
        return wanted.target(spec=spec, has_release=has_release)
    # If the last release cannot be built, the app is what the status still waits for.
    return wanted.target(released=old.objects, spec=spec, has_release=old.state.error is None)


@dataclass(frozen=True)
class _Trial:
    """A trial of numbers.

    Attributes:
        trial: Its record.
        builder: Builds its pods.
        built: The desired state with its numbers.
    """

    trial: Trial
    builder: "_Builder"
    built: "_Built"

    @property
    def objects(self) -> tuple[OwnedObject, ...]:
        """The objects with its numbers; empty if they cannot be built."""
        return self.built.objects


def _find_trial(builder: "_Builder", wanted: "_Built", spec: Mapping[str, Any]) -> _Trial | None:
    """Returns the trial of the spec; None without one."""
    tuning = builder.observed.tuning(builder.owner.uid)
    plan, trial = wanted.state.plan, tuning.trial if tuning is not None else None
    if tuning is None or trial is None or plan is None or wanted.state.course is None:
        return None
    if trial.spec != hash_spec(spec) or not is_automatic(plan.spec):
        return None
    builder = replace(builder, accepted=tuning.tried)
    return _Trial(trial, builder, builder.build(spec))


def _with_canary(
    target: Target,
    wanted: "_Built",
    old: "_Built | None",
    builder: "_Builder",
    body: Mapping[str, Any],
    *,
    clocks: Collection[float],
) -> Target:
    """Returns a target with the canary at its stage, and with the last release if it must stay.

    Args:
        target: The target without a canary.
        wanted: The desired state of the spec.
        old: That of the last release; None without one.
        builder: Builds them.
        body: The service, with the newest requests.
        clocks: The time by each clock, in seconds since 1970.
    """
    owner, observed, course = builder.owner, builder.observed, wanted.state.course
    record, released = observed.canary(owner.uid), old.objects if old is not None else ()
    situation = find_situation(
        body=body,
        course=course,
        before=old.state.course if old is not None else None,
        wanted=wanted.objects,
        released=released,
        gates=wanted.gates,
        observed=observed,
        owner=owner,
    )
    trial = _find_trial(builder, wanted, body["spec"])
    if trial is not None:
        situation = _situation_of_trial(situation, trial.trial, trial.objects, wanted.objects)
    elif not is_promoted(record, situation):
        gates = target.gates - {Gate.PROMOTED}
        target = replace(target, gates=gates, released=released, has_release=True)
    if record is not None and record.steps and situation.course is not None:
        # Also after the trial was accepted, until its pods have no share.
        steps = replace(situation.course, steps=record.steps)
        situation = replace(situation, course=steps)
    course = situation.course
    if trial is not None:
        target = replace(target, trial=trial.objects, tried=trial.built.state.plan)
    first = stage = stage_of(record, course, settled=False)
    target = _at_stage(target, builder, body["spec"], stage, trial)
    divided_by, pods = situation.divided_by, ready_pods(target.desired, observed)
    settled = is_settled(target.objects, observed, clocks, divided_by)
    if settled and stage is not None:
        stage = stage_of(record, course, settled=True)
    if stage is not None and not pods and divided_by is Divider.GATEWAY:
        # A Gateway has no other version for requests that no pod can take.
        stage = replace(stage, percent=0)
    if stage != first:
        target = _at_stage(target, builder, body["spec"], stage, trial)
    situation = replace(
        situation,
        settled=settled,
        app_ready=are_ready(target.desired, Part.APP, observed),
        proxies_ready=divides_requests(target.objects, observed, divided_by),
        canary_pods=pods,
    )
    canary = CanaryTarget(record, situation, stage)
    if record is not None and canary.closes_service:
        # Built from either spec, it is the same; a spec without a canary has none.
        release = observed.release
        spec = body["spec"] if course is not None or release is None else release.spec
        closed = service_of_canary(builder.build(spec, closed_stage(record)).objects)
        target = replace(target, desired=(*target.desired, *closed))
    return replace(target, canary=canary)


def _at_stage(
    target: Target,
    builder: "_Builder",
    spec: Mapping[str, Any],
    stage: Stage | None,
    trial: _Trial | None,
) -> Target:
    """Returns a target whose objects are built for a stage."""
    if stage is None:
        return target
    release, released = builder.observed.release, target.released
    if released and release is not None:
        released = builder.build(release.spec, stage).objects
    desired = builder.build(spec, stage).objects
    if trial is not None:
        desired = tuple(_with_pods(desired, trial.builder.build(spec, stage).objects))
    return replace(target, desired=desired, released=released)


def _with_pods(
    objects: Sequence[OwnedObject], tried: Sequence[OwnedObject]
) -> Iterator[OwnedObject]:
    """Yields objects with the canary of others, and with the ConfigMaps that its pods mount.

    All other objects keep the accepted numbers until the trial is accepted.
    """
    keys = {owned.key for owned in objects}
    yield from (owned for owned in objects if owned.desired.part is not Part.CANARY)
    for owned in tried:
        is_mounted = owned.key.kind == CONFIG_MAP.kind and owned.key not in keys
        if owned.desired.part is Part.CANARY or is_mounted:
            yield owned


def _situation_of_trial(
    situation: Situation,
    trial: Trial,
    tried: Sequence[OwnedObject],
    released: Sequence[OwnedObject],
) -> Situation:
    """Returns the situation of a canary that tries other numbers of the released spec."""
    course = situation.course
    return replace(
        situation,
        template=hash_template(tried),
        released=hash_template(released),
        spec=trial.identity,
        course=course.of_trial(situation.app_pods) if course is not None else None,
        obstacle="",
        trial=trial.step.text,
        needs_gain=trial.step.aim is Aim.GAINS,
    )


@dataclass(frozen=True)
class _Builder:
    """Builds desired states of a service."""

    states: DesiredStateCache
    body: Mapping[str, Any]
    owner: Owner
    facts: Facts
    observed: Observed
    accepted: Measurements = NOT_MEASURED

    def build(self, spec: Mapping[str, Any], stage: Stage | None = None) -> "_Built":
        """Returns the desired state of a spec of the service."""
        body = {**self.body, "spec": spec}
        state, objects = self.states.get(body, self.owner, self.facts, stage, self.accepted)
        begin_empty = self.body["metadata"]["annotations"].get(naming.BEGIN_EMPTY_ANNOTATION, "")
        stored = self.body["status"].get("preflight") or {}
        preflight = find_preflight(
            state.objects, self.observed, self.owner, spec=spec, stored=stored
        )
        return _build(
            state,
            objects,
            self.owner,
            self.observed,
            begin_empty=begin_empty,
            preflight=preflight,
        )


def starts_migration(target: Target, observed: Observed) -> bool:
    """Whether a migration Job would be created now."""
    migration = target.migration
    return (
        migration is not None
        and not migration.succeeded
        and migration.blocker is None
        and migration.job not in observed.children
        and Gate.CHECKED in target.gates
        and Gate.DATABASE in target.gates
    )


@dataclass(frozen=True)
class _Built:
    """A desired state, with the facts about it that follow from live objects."""

    state: DesiredState
    objects: tuple[OwnedObject, ...]
    database: Database
    migration: Migration | None
    preflight: Preflight | None
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
            preflight=self.preflight,
            database=self.database,
            has_release=has_release,
        )


def _build(
    state: DesiredState,
    objects: tuple[OwnedObject, ...],
    owner: Owner,
    observed: Observed,
    *,
    begin_empty: str,
    preflight: Preflight | None,
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
    if preflight is not None:
        objects = tuple(
            name_request(owned, preflight, owner) if owned.key == preflight.job else owned
            for owned in objects
        )
    if migration is not None:
        address = database.address
        shared = keyed_hash(owner.uid, address) if address is not None else ""
        objects = tuple(
            name_job(owned, migration, owner, shared)
            if owned.desired.part is Part.MIGRATION
            else owned
            for owned in objects
        )
    gates = find_open_gates(
        state.objects, observed, owner=owner, migration=migration, preflight=preflight
    )
    return _Built(state, objects, database, migration, preflight, gates)
