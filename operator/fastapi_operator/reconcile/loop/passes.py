"""One pass over one service: look, decide, write, answer.

A pass does what can be done now and returns. It waits for nothing: an event of a child, or a time
that the pass names, starts the next one.
"""

import dataclasses
import datetime
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from fastapi_operator import naming
from fastapi_operator.api.status import Condition, Status
from fastapi_operator.cluster import events
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import POD, SERVICE
from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.loop.images import Images
from fastapi_operator.reconcile.loop.telemetry import Telemetry
from fastapi_operator.reconcile.observe import pod_diagnostics
from fastapi_operator.reconcile.observe.identity import Key, Owner
from fastapi_operator.reconcile.observe.reading import LiveService
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.plan.desired_state import Blueprint
from fastapi_operator.reconcile.plan.desired_state_cache import Drawer
from fastapi_operator.reconcile.plan.owned_object import Sealed, unwatched
from fastapi_operator.reconcile.plan.pending import (
    Held,
    changes_workloads,
    has_turn,
    hold_restarts,
    hold_rollout,
    with_turn,
)
from fastapi_operator.reconcile.plan.refusals import traced
from fastapi_operator.reconcile.plan.rollouts import Rollouts
from fastapi_operator.reconcile.plan.rotation import Rotations, next_rotations
from fastapi_operator.reconcile.plan.status import Situation, status_of
from fastapi_operator.reconcile.plan.steps import Steps, in_force, next_steps, open_gates
from fastapi_operator.reconcile.write.perform import Outcome, Performer, ServiceGoneError
from fastapi_operator.resources.desired import Desired, Gate

# Progress is told at most this often; what matters is told at once.
PROGRESS_SECONDS = 15.0
# A changed service that is Ready again within this time is not told that it is on its way.
BEGINNING_SECONDS = 1.0
# Why a service on its way is not Ready yet. Anything else is news for its owner.
ON_THE_WAY = frozenset(
    {
        "Deleting",
        "MigrationRunning",
        "NotWritten",
        "NotYetActive",
        "PodsNotReady",
        "Progressing",
        "RollingOut",
        "Running",
        "WaitingForDatabase",
        "WaitingForMigration",
    }
)
# Somebody may free a name or restore a Secret, of which no watch tells; a spec tells by itself.
REFUSED_AGAIN_SECONDS = {"NameTaken": 60.0, "CredentialsLost": 60.0}
REFUSED_AGAIN_OTHERWISE_SECONDS = 300.0
HELD_AGAIN_SECONDS = 5.0
BRAKED_AGAIN_SECONDS = 60.0
# While a namespace is emptied, each object that goes would otherwise start a pass in vain.
GOING_SECONDS = 30.0
# Reasons of a rollout that goes its way: no Event tells of it.
_ROLLOUT = frozenset({"Progressing", "RollingOut"})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Next:
    """When a service needs another pass although nothing happens.

    Attributes:
        after: In how many seconds; None where only an event will ask for it.
        failed: This pass met an error that may pass; the queue says when to try again.
        moved: It wrote something all the same.
        at_least: The wait that the API server asked for, in seconds.
    """

    after: float | None = None
    failed: bool = False
    moved: bool = False
    at_least: float = 0.0


@dataclass(frozen=True)
class _Work:
    """What a pass found and did, and the status that was stored when it ended."""

    before: Mapping[str, Any]
    blueprint: Blueprint
    kept: tuple[Sealed, ...]
    steps: Steps
    outcome: Outcome
    held: tuple[Held, ...] = ()
    rotations: Rotations = field(default_factory=Rotations)

    @property
    def desired(self) -> tuple[Desired, ...]:
        return tuple(sealed.desired for sealed in self.kept)


class _DeletedError(Exception):
    """The service went, and its watch has not told so yet."""


class Passes:
    """Runs passes; all state that outlives one is in the store and the ward."""

    def __init__(
        self,
        *,
        client: Client,
        store: Store,
        drawer: Drawer,
        performer: Performer,
        ward: pod_diagnostics.Ward,
        rollouts: Rollouts,
        images: Images,
        telemetry: Telemetry,
        clock: Callable[[], float],
        instance: str,
    ) -> None:
        self._client = client
        self._store = store
        self._drawer = drawer
        self._performer = performer
        self._ward = ward
        self._rollouts = rollouts
        self._images = images
        self._telemetry = telemetry
        self._clock = clock
        self._instance = instance
        self._told: dict[Key, float] = {}
        self._begun: dict[Key, float] = {}
        self._going: dict[str, float] = {}

    async def run(self, key: Key, facts: Facts) -> Next:
        """One pass.

        Raises:
            ApiError: The API server failed in a way that may pass.
        """
        live = self._store.service(key)
        if live is None or live.deleting:
            self.forget(key)
            return Next()
        quiet = self._going.get(key.namespace, 0.0) - self._clock()
        if quiet > 0:
            return Next(after=quiet)
        self._going.pop(key.namespace, None)
        body, owner = live.body, Owner(key.namespace, key.name, live.uid)
        try:
            work = await self._work(body, owner, facts)
        except _DeletedError:
            _log.info("service is gone", service=key.name, namespace=key.namespace)
            self._store.drop_service(body)
            self.forget(key)
            return Next()
        except ServiceGoneError as error:
            _log.info("namespace is going", namespace=key.namespace, error=str(error))
            self._going[key.namespace] = self._clock() + GOING_SECONDS
            return Next(after=GOING_SECONDS)
        await self._diagnose(key, work)
        told_later = await self._answer(live, owner, work)
        return self._next(work, told_later)

    def forget(self, key: Key) -> None:
        """Drops what is remembered of a service that is gone."""
        self._told.pop(key, None)
        self._begun.pop(key, None)
        self._rollouts.forget(key)
        self._images.forget(key)
        self._telemetry.forget(key)

    async def _work(self, body: Mapping[str, Any], owner: Owner, facts: Facts) -> _Work:
        key = Key(owner.namespace, owner.name)
        blueprint, wanted = self._drawer.blueprint(body, owner, facts)
        observed = self._store.observed(key)
        released: tuple[Sealed, ...] = ()
        gates = open_gates(
            blueprint.desired, observed, owner=owner, migration_key=blueprint.migration_key
        )
        spec: Mapping[str, object] | None = body["spec"]
        migration_key = blueprint.migration_key
        if observed.release is not None and (blueprint.error or Gate.MIGRATED not in gates):
            old = {**body, "spec": observed.release.spec}
            old_blueprint, released = self._drawer.blueprint(old, owner, facts)
            if blueprint.error:
                # The last good plan is kept, in all of its parts, until the spec is mended.
                wanted, spec = released, None
                migration_key = old_blueprint.migration_key
                gates = open_gates(
                    old_blueprint.desired, observed, owner=owner, migration_key=migration_key
                )
        read = (item for sealed in (*wanted, *released) for item in sealed.references)
        self._store.values.note_reader(key, frozenset(read))
        # Without a release there is nothing to keep: the app is judged as it is wanted.
        kept = in_force(wanted, released, gates) if observed.release is not None else wanted
        if blueprint.suspended or not wanted:
            return _Work(body["status"], blueprint, kept, Steps(), Outcome())
        steps = next_steps(
            owner=owner,
            wanted=wanted,
            released=released,
            observed=observed,
            gates=gates,
            spec=spec,
            migration_key=migration_key,
        )
        unrecorded = steps.release is not None and observed.release is None
        missing = any(step.why == "missing" for step in (*steps.before, *steps.after))
        if (missing or unrecorded) and self._store.doubts(key):
            await self._look(owner)
        steps, held = self._hold(key, body, steps)
        rotations = next_rotations(
            kept,
            observed,
            wish=body["metadata"]["annotations"].get(naming.ROTATE_ANNOTATION, ""),
            now=int(time.time()),
        )
        steps = dataclasses.replace(steps, before=(*rotations.steps, *steps.before))
        before = body["status"]
        if self._rollouts.has_turn(key) and not has_turn(before):
            before = await self._announce(owner, before, steps)
        outcome = await self._performer.perform(steps, owner)
        outcome.refusals = [traced(item, wanted, body["spec"]) for item in outcome.refusals]
        return _Work(before, blueprint, kept, steps, outcome, held, rotations)

    async def _look(self, owner: Owner) -> None:
        """Makes sure that the service is there before objects are made again.

        Raises:
            _DeletedError: It is not.
        """
        body = await self._client.get(SERVICE, owner.namespace, owner.name)
        if body is None or body["metadata"]["uid"] != owner.uid:
            raise _DeletedError
        self._store.trust(Key(owner.namespace, owner.name))

    def _hold(
        self, key: Key, body: Mapping[str, Any], steps: Steps
    ) -> tuple[Steps, tuple[Held, ...]]:
        """Takes out what waits for an approval, or for the service's turn among all."""
        metadata, before = body["metadata"], body["status"]
        generation = metadata["generation"]
        agreed = metadata["annotations"].get(naming.APPROVE_ANNOTATION, "")
        steps, held = hold_restarts(steps, agreed=agreed)
        answered = before.get("observedGeneration") == generation
        ours = answered and changes_workloads(steps)
        self._rollouts.judge(key, generation=generation, ours=ours)
        if not self._rollouts.is_ours(key):
            return steps, held
        ready = _statuses(before.get("conditions") or ()).get("Ready", ("",))[0] == "True"
        if not self._rollouts.may_begin(key, generation=generation, ready=ready):
            steps, waiting = hold_rollout(steps)
            return steps, (*held, *waiting)
        return steps, held

    async def _announce(
        self, owner: Owner, before: Mapping[str, Any], steps: Steps
    ) -> Mapping[str, Any]:
        """Writes down that the service has its turn, and answers the status that says so.

        It is written before anything else, for the process may end at any write.
        """
        key, status = Key(owner.namespace, owner.name), with_turn(before)
        await self._write_status(key, owner.uid, status)
        changed = sorted(
            f"{step.key.kind} {step.key.name}"
            for step in (*steps.before, *steps.after)
            if step.why == "changed"
        )
        message = f"the operator's new version or settings change {', '.join(changed)}"
        await self._post(key, owner.uid, "Normal", "OperatorRollout", message)
        return status

    async def _diagnose(self, key: Key, work: _Work) -> None:
        children = self._store.observed(key).children
        for desired in self._ward.due(work.desired, children):
            found = None
            try:
                async for pods, _ in self._client.pages(
                    POD,
                    key.namespace,
                    label_selector=pod_diagnostics.selector(desired),
                    limit=pod_diagnostics.PODS_LISTED,
                ):
                    found = pod_diagnostics.diagnosis(pods, datetime.datetime.now(datetime.UTC))
                    break
            except ApiError as error:
                _log.warning("pods not listed", error=str(error), service=key.name)
            self._ward.looked(desired.key, found)

    async def _answer(self, live: LiveService, owner: Owner, work: _Work) -> float | None:
        """Writes the status where it changed; answers when to come back to do it."""
        key, blueprint, before = live.key, work.blueprint, work.before
        failure = work.outcome.failure
        status = status_of(
            Situation(
                owner=owner,
                generation=live.generation,
                before=before,
                now=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                problems=(*blueprint.problems, *unwatched(work.kept, self._store.values.known)),
                plan=blueprint.plan,
                desired=work.desired,
                observed=self._store.observed(key),
                waiting=work.steps.waiting,
                refusals=work.outcome.refusals,
                diagnoses=self._ward.findings(work.desired),
                migration_key=blueprint.migration_key,
                suspended=blueprint.suspended,
                failure=str(failure) if failure else "",
                held=work.held,
                rotating=work.rotations.pending,
                turn=self._rollouts.has_turn(key),
                image_digest=self._images.digest(key),
            )
        )
        ready = _condition(status, "Ready")
        app = next((c for c in status.conditions if c.type == Part.APP.condition), None)
        self._images.note(key, ready=app is not None and app.status == "True")
        if ready.status == "True" or blueprint.suspended:
            self._rollouts.settled(key)
        self._telemetry.service(key, status.conditions, blueprint.plan)
        new = status.to_body()
        if new == before:
            return None
        wait = self._can_wait(live, before, new)
        if wait > 0:
            return wait
        await self._tell(live, before, status, new)
        return None

    def _can_wait(
        self, live: LiveService, before: Mapping[str, Any], new: Mapping[str, Any]
    ) -> float:
        """For how many seconds a status may wait, since a later one will say more."""
        if _begins(before, new):
            begun = self._begun.setdefault(live.key, self._clock())
            return begun + BEGINNING_SECONDS - self._clock()
        if _matters(before, new):
            return 0.0
        return self._told.get(live.key, float("-inf")) + PROGRESS_SECONDS - self._clock()

    async def _tell(
        self, live: LiveService, before: Mapping[str, Any], status: Status, new: dict[str, Any]
    ) -> None:
        key = live.key
        await self._write_status(key, live.uid, new)
        self._told[key] = self._clock()
        self._begun.pop(key, None)
        if self._client.dry_run:
            return
        for kind, condition in _transitions(before, status):
            message = condition.message or condition.type
            await self._post(key, live.uid, kind, condition.reason, message)

    async def _write_status(self, key: Key, uid: str, status: Mapping[str, Any]) -> None:
        body = {
            "apiVersion": naming.API_VERSION,
            "kind": naming.KIND,
            # The uid makes sure that a service recreated meanwhile is not told old news.
            "metadata": {"namespace": key.namespace, "name": key.name, "uid": uid},
            "status": status,
        }
        answer = await self._client.apply_status(SERVICE, body)
        if not self._client.dry_run:
            self._store.put_service(answer)

    async def _post(
        self, key: Key, uid: str, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        await events.post(
            self._client,
            namespace=key.namespace,
            name=key.name,
            uid=uid,
            kind=kind,
            reason=reason,
            message=message,
            instance=self._instance,
        )

    def _next(self, work: _Work, told_later: float | None) -> Next:
        outcome = work.outcome
        if outcome.failure is not None:
            wait = outcome.failure.retry_after_seconds
            return Next(failed=True, moved=bool(outcome.done), at_least=wait)
        waits = [told_later, self._ward.next_in(work.desired), work.rotations.again]
        waits += [
            REFUSED_AGAIN_SECONDS.get(refusal.reason, REFUSED_AGAIN_OTHERWISE_SECONDS)
            for refusal in outcome.refusals
        ]
        if outcome.held:
            waits.append(HELD_AGAIN_SECONDS)
        if outcome.braked:
            waits.append(BRAKED_AGAIN_SECONDS)
        return Next(after=min((wait for wait in waits if wait is not None), default=None))


def _condition(status: Status, kind: str) -> Condition:
    return next(condition for condition in status.conditions if condition.type == kind)


def _statuses(conditions: Any) -> dict[str, tuple[str, str]]:
    return {
        item["type"]: (item["status"], item["reason"])
        for item in conditions
        if item["type"] in ("Ready", "Stalled")
    }


def _begins(before: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the news is only that a service which was Ready goes to a newer generation.

    Until it is told, observedGeneration says to everybody that the status answers an older spec.
    """
    if before.get("observedGeneration") in (None, new.get("observedGeneration")):
        return False
    old, now = (_statuses(item.get("conditions") or ()) for item in (before, new))
    return (
        old.get("Ready", ("",))[0] == "True"
        and now.get("Ready", ("", ""))[1] in ON_THE_WAY
        and now.get("Stalled") == old.get("Stalled")
        and new.get("problems") == before.get("problems")
    )


def _matters(before: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a change is more than progress on the way to Ready."""
    if before.get("observedGeneration") != new.get("observedGeneration"):
        return True
    old, now = (_statuses(item.get("conditions") or ()) for item in (before, new))
    if {kind: state for kind, (state, _) in old.items()} != {
        kind: state for kind, (state, _) in now.items()
    }:
        return True
    if old.get("Stalled") != now.get("Stalled"):
        return True
    before_reason, reason = (state.get("Ready", ("", ""))[1] for state in (old, now))
    return reason != before_reason and reason not in ON_THE_WAY


def _transitions(
    before: Mapping[str, Any], status: Status
) -> list[tuple[Literal["Normal", "Warning"], Condition]]:
    """Changes that people should hear of; that a new service becomes ready is none."""
    old = _statuses(before.get("conditions") or ())
    found: list[tuple[Literal["Normal", "Warning"], Condition]] = []
    ready, stalled = _condition(status, "Ready"), _condition(status, "Stalled")
    if stalled.status == "True" and old.get("Stalled") != ("True", stalled.reason):
        found.append(("Warning", stalled))
    elif (
        old.get("Ready", ("",))[0] == "True"
        and ready.status == "False"
        and ready.reason not in _ROLLOUT
        and not _new(before, status)
    ):
        found.append(("Warning", ready))
    elif old.get("Stalled", ("",))[0] == "True" and ready.status == "True":
        found.append(("Normal", ready))
    return found


def _new(before: Mapping[str, Any], status: Status) -> bool:
    return before.get("observedGeneration") != status.observed_generation
