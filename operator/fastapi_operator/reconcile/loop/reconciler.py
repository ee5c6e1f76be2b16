"""One reconciliation of a service: observe, plan, write, and report the status.

A reconciliation does everything that is possible now and returns. It never waits: an event of a
child, or the delay that the reconciliation returns, starts the next one.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from fastapi_operator import naming
from fastapi_operator.api.status import LeakStatus, Status
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import EVENT, POD, SECRET, SERVICE
from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.loop import api_waits, steady
from fastapi_operator.reconcile.loop.api_waits import ApiWaits
from fastapi_operator.reconcile.loop.canary import TRANSITIONS_AT_ONCE, Canaries, Looks
from fastapi_operator.reconcile.loop.images import Images
from fastapi_operator.reconcile.loop.leak_guard import LeakGuard
from fastapi_operator.reconcile.loop.observer import Observer
from fastapi_operator.reconcile.loop.orphans import OrphanedPods
from fastapi_operator.reconcile.loop.status_writer import StatusWriter, find_condition, summary_of
from fastapi_operator.reconcile.loop.telemetry import Telemetry
from fastapi_operator.reconcile.loop.tuner import Tuner, following_record
from fastapi_operator.reconcile.observe import event_causes, pod_diagnostics
from fastapi_operator.reconcile.observe.identity import Owner, ServiceKey
from fastapi_operator.reconcile.observe.migration_report import MigrationReports
from fastapi_operator.reconcile.observe.observed import Child, Health, Observed
from fastapi_operator.reconcile.observe.pod_diagnostics import PodDiagnostics
from fastapi_operator.reconcile.observe.preflight_pods import (
    PreflightReports,
    is_preflight,
    never_ran,
    read_report,
)
from fastapi_operator.reconcile.observe.reading import LiveService
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.plan import reloads
from fastapi_operator.reconcile.plan.certificates import find_invalid_certificates
from fastapi_operator.reconcile.plan.crash import (
    explain_crash,
    status_after_crash,
    status_of_deletion,
)
from fastapi_operator.reconcile.plan.desired_state import DesiredState
from fastapi_operator.reconcile.plan.desired_state_cache import DesiredStateCache
from fastapi_operator.reconcile.plan.leak_terms import stored_leak, terms_of
from fastapi_operator.reconcile.plan.owned_object import (
    OwnedObject,
    find_disputed,
    find_overridden,
    find_unwatched,
)
from fastapi_operator.reconcile.plan.pending import (
    HeldWrite,
    changes_workloads,
    has_slot,
    hold_restarts,
    hold_rollout,
    with_slot,
)
from fastapi_operator.reconcile.plan.preflights import Preflight
from fastapi_operator.reconcile.plan.refusals import to_problem, with_spec_paths
from fastapi_operator.reconcile.plan.release import is_released
from fastapi_operator.reconcile.plan.rollouts import Rollouts
from fastapi_operator.reconcile.plan.rotation import Rotations, plan_rotations
from fastapi_operator.reconcile.plan.status import StatusInput, build_status
from fastapi_operator.reconcile.plan.steps import Steps, plan_steps
from fastapi_operator.reconcile.plan.target import Target, find_target, starts_migration
from fastapi_operator.reconcile.write.object_writer import kind_of
from fastapi_operator.reconcile.write.outcome import NamespaceTerminatingError, Outcome
from fastapi_operator.reconcile.write.perform import Performer
from fastapi_operator.resources.desired import Desired, ObjectKey

# A name may become free and a Secret may be restored without a watch event for it.
REFUSED_RETRY_SECONDS = {"NameTaken": 60.0, "CredentialsLost": 60.0}
REFUSED_RETRY_OTHERWISE_SECONDS = 300.0
BLOCKED_RETRY_SECONDS = 5.0
BRAKED_RETRY_SECONDS = 60.0
# A Secret without the label by which it is watched is read again at most this often.
UNWATCHED_READ_SECONDS = 60.0
# A valid certificate in such a Secret is looked at again as rarely as this.
UNWATCHED_VALID_SECONDS = 300.0
# While a namespace terminates, each deleted object would otherwise start a useless reconciliation.
TERMINATING_PAUSE_SECONDS = 30.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ReconcileResult:
    """When to reconcile a service again if no event arrives.

    Attributes:
        requeue_after: The delay in seconds; None if only an event is awaited.
        failed: A temporary error occurred; the queue chooses the delay by its back-off.
        progressed: Objects were written although the reconciliation failed.
        min_delay: The delay in seconds that the API server requested.
    """

    requeue_after: float | None = None
    failed: bool = False
    progressed: bool = False
    min_delay: float = 0.0


@dataclass(frozen=True)
class _Work:
    """What a reconciliation planned and wrote, and the status that was stored before."""

    before: Mapping[str, Any]
    target: Target
    objects: tuple[OwnedObject, ...]
    steps: Steps
    outcome: Outcome
    held: tuple[HeldWrite, ...] = ()
    rotations: Rotations = field(default_factory=Rotations)
    # The seconds that remain when the status is built: no event ends them.
    reloading: Mapping[ObjectKey, float] = field(default_factory=dict)
    address_seconds: float = 0.0

    @property
    def state(self) -> DesiredState:
        return self.target.state

    @property
    def desired(self) -> tuple[Desired, ...]:
        return tuple(owned.desired for owned in self.objects)


class _ServiceDeletedError(Exception):
    """The service was deleted, but its watch has not reported it yet."""


class Reconciler:
    """Reconciles services; state that outlives a reconciliation is in the objects passed in."""

    def __init__(
        self,
        *,
        client: Client,
        store: Store,
        desired_states: DesiredStateCache,
        performer: Performer,
        pod_diagnostics: PodDiagnostics,
        rollouts: Rollouts,
        images: Images,
        observer: Observer,
        leak_guard: LeakGuard,
        looks: Looks,
        orphans: OrphanedPods,
        api_waits: ApiWaits,
        telemetry: Telemetry,
        clock: Callable[[], float],
        instance: str,
        settings: str | None,
    ) -> None:
        self._client = client
        self._store = store
        self._desired_states = desired_states
        self._performer = performer
        self._pod_diagnostics = pod_diagnostics
        self._rollouts = rollouts
        self._images = images
        self._observer = observer
        self._leak_guard = leak_guard
        self._orphans = orphans
        self._api_waits = api_waits
        self._telemetry = telemetry
        self._clock = clock
        self._settings = settings
        self._status = StatusWriter(client, store, clock=clock, instance=instance)
        self._terminating_until: dict[str, float] = {}
        self._reports = MigrationReports()
        self._preflights = PreflightReports()
        self._canaries = Canaries(client, store, looks)
        self._tuner = Tuner(client, store)
        self._unwatched_read_at: dict[ObjectKey, float] = {}

    async def reconcile(self, key: ServiceKey, facts: Facts) -> ReconcileResult:
        """Reconciles one service.

        Raises:
            ApiError: The API server failed in a way that may be temporary.
            Exception: The operator has a bug; the status reports it.
        """
        live = self._store.service(key)
        if live is None or live.deleting:
            if live is not None:
                await self._report_deletion(live)
            self.forget(key)
            return ReconcileResult()
        pause = self._terminating_until.get(key.namespace, 0.0) - self._clock()
        if pause > 0:
            return ReconcileResult(requeue_after=pause)
        self._terminating_until.pop(key.namespace, None)
        try:
            return await self._reconcile_live(live, facts)
        except ApiError as error:
            if not (error.temporary or error.status == 404):
                await self._report_crash(live, error)
            raise
        except Exception as error:
            await self._report_crash(live, error)
            raise

    async def _reconcile_live(self, live: LiveService, facts: Facts) -> ReconcileResult:
        key = live.key
        body, owner = live.body, Owner(key.namespace, key.name, live.uid)
        try:
            work = await self._plan_and_write(body, owner, facts)
        except _ServiceDeletedError:
            _log.info("service is deleted", service=key.name, namespace=key.namespace)
            self._store.drop_service(body)
            self.forget(key)
            return ReconcileResult()
        except NamespaceTerminatingError as error:
            _log.info("namespace is terminating", namespace=key.namespace, error=str(error))
            self._terminating_until[key.namespace] = self._clock() + TERMINATING_PAUSE_SECONDS
            return ReconcileResult(requeue_after=TERMINATING_PAUSE_SECONDS)
        await self._diagnose_pods(key, work)
        work = self._with_waits(key, work)
        status_delay = await self._report_status(live, owner, work)
        result = self._result(live, work, status_delay)
        if self._has_changed_meanwhile(live):
            # The response to the status write was the first report of the change, so that its
            # event will be ignored.
            return dataclasses.replace(result, requeue_after=0.0)
        return result

    def _with_waits(self, key: ServiceKey, work: _Work) -> _Work:
        children = self._store.observed(key).children
        clocks, plan = steady.clocks(), work.state.plan
        return dataclasses.replace(
            work,
            reloading=reloads.seconds_left(work.desired, children, clocks),
            address_seconds=reloads.address_seconds_left(plan, work.desired, children, clocks),
        )

    def _has_changed_meanwhile(self, live: LiveService) -> bool:
        """Whether the spec or the requests of a service changed while it was reconciled."""
        newest = self._store.service(live.key)
        if newest is None or newest.version == live.version:
            return False
        requests = (item.body["metadata"]["annotations"] for item in (live, newest))
        return newest.generation != live.generation or next(requests) != next(requests)

    def forget(self, key: ServiceKey) -> None:
        """Drops all state of a deleted service."""
        self._status.forget(key)
        self._rollouts.forget(key)
        self._images.forget(key)
        self._observer.forget(key)
        self._leak_guard.forget(key)
        self._orphans.forget(key)
        self._telemetry.forget(key)
        self._reports.forget(key)
        self._preflights.forget(key)
        self._canaries.forget(key)
        self._api_waits.forget(key)

    async def _plan_and_write(self, body: Mapping[str, Any], owner: Owner, facts: Facts) -> _Work:
        key, before, outcome = owner.key, body["status"], Outcome()

        def find() -> Target:
            observed = self._observed(key)
            clocks = steady.clocks()
            return find_target(self._desired_states, body, owner, facts, observed, clocks=clocks)

        await self._orphans.refresh(key)
        target = find()
        if await self._read_unwatched(target) or await self._restore_labels(target):
            target = find()
        if starts_migration(target, self._store.observed(key)) and await self._orphans.read(key):
            target = find()
        target = await self._advance(target, find, body, owner, outcome)
        observed = self._observed(key)
        self._store.values.note_reader(key, target.references)
        objects = target.objects
        if target.state.suspended or not target.desired:
            return _Work(before, target, objects, Steps(), outcome)
        steps = plan_steps(
            owner=owner,
            desired_objects=target.desired,
            released_objects=target.released,
            observed=observed,
            gates=target.gates,
            spec=target.spec,
            migration=target.migration,
            preflight=target.preflight,
            database=target.database,
            proxies_settled=target.canary is None or target.canary.situation.settled,
        )
        unrecorded = steps.release is not None and observed.release is None
        missing = any(step.why == "missing" for step in steps.writes)
        if (missing or unrecorded) and self._store.is_unverified(key):
            await self._verify_service(owner)
        steps, held = self._hold(key, body, steps)
        rotations = plan_rotations(
            () if target.database.lost else objects,
            observed,
            request=target.rotate,
            now=int(steady.now()),
        )
        steps = dataclasses.replace(steps, before_release=(*rotations.steps, *steps.before_release))
        if self._rollouts.has_slot(key) and not has_slot(before):
            before = await self._announce_rollout(owner, before, steps)
        outcome = await self._performer.perform(steps, owner, outcome)
        await self._explain_skipped_canary(owner, target, observed)
        outcome.refusals = [
            with_spec_paths(item, target.desired, body["spec"])
            for item in (*steps.refusals, *outcome.refusals)
        ]
        return _Work(before, target, objects, steps, outcome, held, rotations)

    async def _advance(
        self,
        target: Target,
        find: Callable[[], Target],
        body: Mapping[str, Any],
        owner: Owner,
        outcome: Outcome,
    ) -> Target:
        """Moves the canary and the trial of a service on, and returns the target after that."""
        for _ in range(TRANSITIONS_AT_ONCE):
            if target.canary is not None:
                if self._store.is_unverified(owner.key):
                    await self._verify_service(owner)
                findings = self._pod_diagnostics.findings(owned.desired for owned in target.desired)
                target = await self._canaries.advance(target, find, owner, findings, outcome)
            following = following_record(
                target,
                body,
                owner,
                self._store.observed(owner.key),
                self._observer.proposal(owner.key),
            )
            if following == target.tuning:
                break
            if self._store.is_unverified(owner.key):
                await self._verify_service(owner)
            if not await self._tuner.write(following, owner, outcome):
                break
            target = find()
        return target

    def _observed(self, key: ServiceKey) -> Observed:
        """Returns the live objects of a service, with the pods that no watch reports."""
        return dataclasses.replace(
            self._store.observed(key),
            orphans=self._orphans.find(key),
            preflight=self._preflights.find(key),
        )

    async def _read_unwatched(self, target: Target) -> bool:
        """Reads the Secrets with an address or a certificate that no watch reports.

        Returns:
            Whether one was read.
        """
        now, due, values = self._clock(), [], self._store.values
        addresses = target.database.secrets - values.known.keys()
        for key in addresses | (target.certificates - values.watched):
            if now >= self._unwatched_read_at.get(key, 0.0) + UNWATCHED_READ_SECONDS:
                due.append(key)
        for key in due:
            body = await self._client.get(SECRET, key.namespace, key.name)
            self._store.values.put_unwatched(key, body)
            self._unwatched_read_at[key] = now
        return bool(due)

    def _certificate_faults(self, target: Target) -> dict[ObjectKey, str | None]:
        return {key: self._store.values.certificate_fault(key) for key in target.certificates}

    async def _restore_labels(self, target: Target) -> bool:
        """Finds recorded volumes that only lost the labels by which they are watched.

        Returns:
            Whether one was found; its labels are restored.
        """
        labels = {
            item.key: item.body["metadata"].get("labels", {}) for item in target.state.objects
        }
        found = False
        for lost in target.database.lost:
            key, kind = lost.key, kind_of(lost.key)
            body = await self._client.get(kind, key.namespace, key.name)
            if body is None or body["metadata"]["uid"] != lost.uid or self._client.dry_run:
                continue
            patch = {"metadata": {"uid": lost.uid, "labels": labels[key]}}
            response = await self._client.merge(kind, key.namespace, key.name, patch)
            self._store.put_child(kind, response, written=True)
            _log.info("restored labels", object=str(key))
            found = True
        return found

    async def _verify_service(self, owner: Owner) -> None:
        """Checks that the service still exists before missing objects are created again.

        Raises:
            _ServiceDeletedError: It does not.
        """
        body = await self._client.get(SERVICE, owner.namespace, owner.name)
        if body is None or body["metadata"]["uid"] != owner.uid:
            raise _ServiceDeletedError
        self._store.mark_verified(owner.key)

    def _hold(
        self, key: ServiceKey, body: Mapping[str, Any], steps: Steps
    ) -> tuple[Steps, tuple[HeldWrite, ...]]:
        """Takes out the writes that wait for an approval or for a rollout slot."""
        metadata, before = body["metadata"], body["status"]
        generation = metadata["generation"]
        approved = metadata["annotations"].get(naming.APPROVE_ANNOTATION, "")
        steps, held = hold_restarts(steps, approved=approved)
        is_reported = before.get("observedGeneration") == generation
        self._rollouts.note_first(
            key, generation=generation, operator_change=is_reported and changes_workloads(steps)
        )
        if not self._rollouts.is_waiting(key):
            return steps, held
        ready = summary_of(before.get("conditions")).get("Ready", ("",))[0] == "True"
        if not self._rollouts.may_start(key, generation=generation, ready=ready):
            steps, waiting = hold_rollout(steps)
            return steps, (*held, *waiting)
        return steps, held

    async def _announce_rollout(
        self, owner: Owner, before: Mapping[str, Any], steps: Steps
    ) -> Mapping[str, Any]:
        """Records in the status that the service has a rollout slot, and returns that status.

        This is the first write of the rollout, because the process may end at any write.
        """
        status = with_slot(before)
        await self._status.write(owner.key, owner.uid, status)
        changed = sorted(
            f"{step.key.kind} {step.key.name}" for step in steps.writes if step.why == "changed"
        )
        message = (
            f"the operator's new version or settings change these objects: {', '.join(changed)}"
        )
        await self._status.post_event(owner.key, owner.uid, "Normal", "OperatorRollout", message)
        return status

    async def _explain_skipped_canary(
        self, owner: Owner, target: Target, observed: Observed
    ) -> None:
        """Posts an Event if a changed version was released although its spec has a canary."""
        skipped = target.canary.situation.skipped if target.canary is not None else ""
        # Only in the reconciliation that records the release: the next one finds no change.
        if skipped and self._store.observed(owner.key).release != observed.release:
            await self._status.post_event(owner.key, owner.uid, "Normal", "CanarySkipped", skipped)

    async def _diagnose_pods(self, key: ServiceKey, work: _Work) -> None:
        children = self._store.observed(key).children
        for desired in self._pod_diagnostics.due(work.desired, children):
            pods = await self._list_pods(key, desired)
            if pods is None:
                self._pod_diagnostics.postpone(desired.key)
                continue
            found = pod_diagnostics.diagnose(
                pods,
                datetime.datetime.now(datetime.UTC),
                pod_diagnostics.template_of(desired),
            )
            found = await self._explain_by_events(children[desired.key], pods, found)
            self._pod_diagnostics.record(desired.key, found)
            # The sidecar of a migration that runs has no report yet.
            if children[desired.key].health.failed:
                self._reports.record(key, desired, pods)
        for desired in self._reports.due(
            key,
            work.desired,
            children,
            migration_key=work.target.migration.key if work.target.migration else None,
            before=work.before,
        ):
            self._reports.record(key, desired, await self._list_pods(key, desired) or [])
        await self._read_preflight(key, work)

    async def _read_preflight(self, key: ServiceKey, work: _Work) -> None:
        """Reads the report of a preflight that has ended, or that no node can run."""
        children = self._store.observed(key).children
        stored = work.before.get("preflight") or {}
        findings = self._pod_diagnostics.findings(work.desired)
        ended = self._preflights.due(key, work.desired, children, stored)
        if ended is not None:
            pods = await self._list_pods(key, ended)
            if pods is not None:
                found = findings.get(ended.key)
                self._preflights.record(key, read_report(children[ended.key], pods, found))
            return
        for desired in filter(is_preflight, work.desired):
            found = findings.get(desired.key)
            report = never_ran(children[desired.key], found) if found is not None else None
            if report is not None:
                self._preflights.record(key, report)

    async def _explain_by_events(
        self, child: Child, pods: Sequence[Mapping[str, Any]], found: Health | None
    ) -> Health | None:
        """Returns the problem of a workload's pods, also if only an Event has its cause."""
        subject, namespace = event_causes.find_subject(child, pods, found), child.key.namespace
        if subject is None:
            return found
        try:
            async for events, _ in self._client.pages(
                EVENT, namespace, field_selector=subject.selector
            ):
                return event_causes.explain(subject, namespace, events, found)
        except ApiError as error:
            # A role of an older version does not permit it.
            _log.info("cannot list events", error=str(error), namespace=namespace)
        return found

    async def _list_pods(self, key: ServiceKey, desired: Desired) -> list[dict[str, Any]] | None:
        """Returns the first pods of a workload; None if they cannot be listed now."""
        try:
            async for pods, _ in self._client.pages(
                POD,
                key.namespace,
                label_selector=pod_diagnostics.pod_selector(desired),
                limit=pod_diagnostics.PODS_LISTED,
            ):
                kind, name = desired.key.kind, desired.key.name
                return [pod for pod in pods if pod_diagnostics.is_pod_of(pod, kind, name)]
        except ApiError as error:
            _log.warning("cannot list pods", error=str(error), service=key.name)
            return None
        return []

    async def _report_status(self, live: LiveService, owner: Owner, work: _Work) -> float | None:
        """Writes the status if it is due; returns the delay in seconds if it is not."""
        key = live.key
        status = self._build_status(live, owner, work)
        self._images.note(key, ready=_is_ready(status, Part.APP.condition))
        if _is_ready(status, "Ready") or work.state.suspended:
            self._rollouts.finish(key)
        self._telemetry.service(key, status.conditions, work.state.plan)
        self._telemetry.recommended(key, status.recommendations)
        return await self._status.report(live, work.before, status)

    async def _report_deletion(self, live: LiveService) -> None:
        """Reports that a service which waits for finalizers of others is no longer reconciled."""
        body = live.body
        status = status_of_deletion(
            body["status"],
            generation=live.generation,
            now=_now(),
            finalizers=body["metadata"].get("finalizers", ()),
        )
        if status == body["status"]:
            return
        try:
            await self._status.write(live.key, live.uid, status)
        except ApiError as error:
            _log.info("cannot report the deletion", service=live.key.name, error=str(error))

    async def _report_crash(self, live: LiveService, error: Exception) -> None:
        """Reports an error in the status; the caller raises it for the log and the retry."""
        message, before = explain_crash(error, "spec"), live.body["status"]
        status = status_after_crash(before, generation=live.generation, now=_now(), message=message)
        try:
            await self._status.report_crash(live, before, status, message)
        except ApiError as failure:
            _log.warning("cannot report the error", service=live.key.name, error=str(failure))

    def _build_status(self, live: LiveService, owner: Owner, work: _Work) -> Status:
        key, state, failure = live.key, work.state, work.outcome.failure
        observed = self._observed(key)
        warnings = (
            *map(to_problem, work.outcome.warnings),
            *find_unwatched(work.objects, self._store.values.watched),
            *find_overridden(work.objects, observed.children),
            *find_disputed(observed.rivals),
            *find_invalid_certificates(self._certificate_faults(work.target)),
        )
        return build_status(
            StatusInput(
                owner=owner,
                generation=live.generation,
                before=work.before,
                now=_now(),
                problems=(*state.problems, *warnings),
                plan=state.plan,
                desired=work.desired,
                observed=observed,
                waiting=work.steps.waiting,
                refusals=work.outcome.refusals,
                diagnoses=self._pod_diagnostics.findings(work.desired),
                migration=work.target.migration,
                preflight=work.target.preflight,
                migration_report=self._reports.find(key, work.desired),
                suspended=state.suspended,
                released=is_released(observed.release, live.body["spec"]),
                reloading=work.reloading,
                api_seconds=self._api_seconds(live, work),
                address_seconds=work.address_seconds,
                failure=str(failure) if failure else "",
                held=work.held,
                rotating=work.rotations.pending,
                has_slot=self._rollouts.has_slot(key),
                canary=work.target.canary,
                image_digest=self._images.digest(key),
                recommendations=self._observer.recommendations(key),
                tuning=work.target.tuning,
                overload=self._observer.overload(key),
                leak=self._guarded(live, work, observed),
                settings=self._settings,
            )
        )

    def _guarded(self, live: LiveService, work: _Work, observed: Observed) -> LeakStatus | None:
        """Notes what the leak guard may do; returns its newest report."""
        key, plan, canary = live.key, work.state.plan, work.target.canary
        has_canary = canary is not None and canary.record is not None
        if has_canary or not is_released(observed.release, live.body["spec"]):
            # The numbers are of a version that the pods do not have yet.
            return self._leak_guard.report(key) or stored_leak(work.before)
        terms = None if work.state.suspended else terms_of(plan, work.desired)
        self._leak_guard.note(key, terms)
        return self._leak_guard.report(key)

    def _preflight_delay(self, key: ServiceKey, preflight: Preflight | None) -> float | None:
        """Returns when to reconcile again because of a report; None if there is no reason."""
        if preflight is None or preflight.report is not None:
            return None
        report = self._preflights.find(key)
        if report is not None and report.key == preflight.request:
            return 0.0
        job = self._store.observed(key).children.get(preflight.job)
        # Its pods could not be listed.
        return BLOCKED_RETRY_SECONDS if job is not None and job.health.failed else None

    def _api_seconds(self, live: LiveService, work: _Work) -> float:
        return self._api_waits.seconds_left(
            live.key, live.generation, work.before, needs_api=work.state.needs_api
        )

    def _result(
        self, live: LiveService, work: _Work, status_delay: float | None
    ) -> ReconcileResult:
        key, outcome = live.key, work.outcome
        if outcome.failure is not None:
            return ReconcileResult(
                failed=True,
                progressed=bool(outcome.done),
                min_delay=outcome.failure.retry_after_seconds,
            )
        delays = [
            status_delay,
            self._pod_diagnostics.next_in(work.desired),
            work.rotations.requeue_after,
            self._canaries.requeue_after(work.target),
        ]
        delays += work.reloading.values()
        delays.append(work.address_seconds or None)
        delays += [
            REFUSED_RETRY_SECONDS.get(refusal.reason, REFUSED_RETRY_OTHERWISE_SECONDS)
            for refusal in outcome.refusals
        ]
        delays.append(self._preflight_delay(key, work.target.preflight))
        other_job = any(item.reason == "WaitingForOtherMigration" for item in work.steps.waiting)
        if work.target.certificates - self._store.values.watched:
            valid = set(self._certificate_faults(work.target).values()) == {""}
            delays.append(UNWATCHED_VALID_SECONDS if valid else UNWATCHED_READ_SECONDS)
        if outcome.blocked or other_job or self._orphans.find(key):
            delays.append(BLOCKED_RETRY_SECONDS)
        if api_seconds := self._api_seconds(live, work):
            delays.append(min(api_seconds, api_waits.POLL_SECONDS))
        if outcome.braked:
            delays.append(BRAKED_RETRY_SECONDS)
        soonest = min((delay for delay in delays if delay is not None), default=None)
        return ReconcileResult(requeue_after=soonest)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_ready(status: Status, condition_type: str) -> bool:
    if all(item.type != condition_type for item in status.conditions):
        return False
    return find_condition(status, condition_type).status == "True"
