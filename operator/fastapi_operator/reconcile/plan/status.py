"""Builds the status of a service: conditions, tuned values, problems."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.status import (
    BudgetStatus,
    EntryStatus,
    LeakStatus,
    MigrationState,
    MigrationStatus,
    Pending,
    RecommendationStatus,
    Status,
    StatusProblem,
    TunedValue,
)
from fastapi_operator.cluster.kinds import CRON_JOB, DEPLOYMENT
from fastapi_operator.observation.rejections import Overload
from fastapi_operator.parts import CAUSES_FIRST, Part
from fastapi_operator.problems import Problem, Severity
from fastapi_operator.reconcile.observe.health import JOB_SUSPENDED, VOLUME_LOST
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.migration_report import MigrationReport
from fastapi_operator.reconcile.observe.observed import Child, Health, Observed
from fastapi_operator.reconcile.observe.tuning_record import TuningRecord
from fastapi_operator.reconcile.plan import pending, reloads
from fastapi_operator.reconcile.plan.canary_status import (
    CanarySummary,
    canary_status,
    summarize,
)
from fastapi_operator.reconcile.plan.canary_target import CanaryTarget
from fastapi_operator.reconcile.plan.conditions import Conditions
from fastapi_operator.reconcile.plan.migrations import (
    Migration,
    is_recorded,
    unfinished_jobs,
)
from fastapi_operator.reconcile.plan.overload import mark_overload
from fastapi_operator.reconcile.plan.pending import HeldWrite
from fastapi_operator.reconcile.plan.preflight_status import (
    preflight_health,
    preflight_problems,
    preflight_status,
)
from fastapi_operator.reconcile.plan.preflights import Preflight
from fastapi_operator.reconcile.plan.readiness import SCALING, child_health
from fastapi_operator.reconcile.plan.recommendations import recommendations_in_force
from fastapi_operator.reconcile.plan.refusals import Refusal
from fastapi_operator.reconcile.plan.remedies import remedy
from fastapi_operator.reconcile.plan.steps import Waiting, waits_for_job, waits_for_pod
from fastapi_operator.reconcile.plan.trial_status import trials_of
from fastapi_operator.resources.desired import Desired, ObjectKey
from fastapi_operator.tuning.decision import Decision
from fastapi_operator.tuning.plan import Plan

# The path of problems that a migration left in the database.
REPORT_PATH = "spec.postgres.migrations"


@dataclass(frozen=True)
class StatusInput:
    """Everything that the status depends on.

    Attributes:
        owner: The service.
        generation: The generation of the spec that was reconciled.
        before: The stored status.
        now: The time of a transition, RFC 3339.
        problems: The problems of the spec.
        plan: The numbers; None if the spec cannot be parsed.
        desired: The desired objects.
        observed: The live objects.
        waiting: Desired objects that are not written yet.
        refusals: Writes that were refused.
        diagnoses: The problems of the pods of unready workloads.
        migration: The desired migration; None if there is none.
        migration_report: The state that it left in the database, if that was read.
        preflight: The desired preflight; None if there is none.
        suspended: Whether the reconciliation is suspended.
        released: Whether the spec is that of the last release.
        reloading: ConfigMaps that running pods may not have read yet.
        api_seconds: How long the service may still wait for an API that its spec needs.
        address_seconds: For how long the proxy may not know the first pods of the app yet.
        failure: The temporary error that ended the reconciliation; empty if there was none.
        held: Writes that wait for an approval or a rollout slot.
        rotating: The entries of rotations that wait.
        has_slot: Whether the service has a rollout slot.
        image_digest: The digest that the app's pods ran when they were last listed.
        canary: The canary of the service; None if there is none.
        recommendations: Those of the newest measurements; None if none were compared since the
            operator started, so that the stored ones stay.
        tuning: What automatic tuning remembers; None without a record.
        overload: Who rejects requests; None if nothing is known since the operator started, so
            that the stored condition stays.
        leak: The newest report of the leak guard.
        settings: The ConfigMap with the operator's settings, as namespace/name; None if it
            publishes none.
    """

    owner: Owner
    generation: int
    before: Mapping[str, Any]
    now: str
    problems: Sequence[Problem] = ()
    plan: Plan | None = None
    desired: Sequence[Desired] = ()
    observed: Observed = field(default_factory=Observed)
    waiting: Sequence[Waiting] = ()
    refusals: Sequence[Refusal] = ()
    diagnoses: Mapping[ObjectKey, Health] = field(default_factory=dict)
    migration: Migration | None = None
    migration_report: MigrationReport | None = None
    preflight: Preflight | None = None
    suspended: bool = False
    released: bool = True
    reloading: Collection[ObjectKey] = ()
    api_seconds: float = 0.0
    address_seconds: float = 0.0
    failure: str = ""
    held: Sequence[HeldWrite] = ()
    rotating: Sequence[Pending] = ()
    has_slot: bool = False
    image_digest: str | None = None
    canary: CanaryTarget | None = None
    recommendations: Sequence[RecommendationStatus] | None = None
    tuning: TuningRecord | None = None
    overload: Overload | None = None
    leak: LeakStatus | None = None
    settings: str | None = None


def build_status(inputs: StatusInput) -> Status:
    """Returns the status of a service."""
    conditions = Conditions(generation=inputs.generation, now=inputs.now, before=inputs.before)
    parts = part_health(inputs)
    _mark_summary(conditions, inputs, parts)
    for part, health in parts.items():
        if health.ready:
            conditions.mark_part_ready(part, health.message)
        else:
            conditions.mark_part_not_ready(part, health)
    plan = inputs.plan
    tuned = _tuning(plan.headline()) if plan else ()
    app, migration = _app(inputs), _migration(inputs)
    preflight = preflight_status(inputs.preflight, inputs.before)
    replicas = app.replicas.live if app is not None and app.replicas is not None else None
    # Without a look, for example while it is suspended, a former fact becomes old.
    overload = Overload() if inputs.suspended else inputs.overload
    mark_overload(conditions, overload, plan, service=inputs.owner.name, pods=replicas)
    return Status(
        observed_generation=inputs.generation,
        conditions=conditions.all(),
        tuning=pending.keep_held_values(inputs.held, tuned, inputs.before),
        connection_budget=_budget(plan),
        problems=(
            *_problems(inputs.problems),
            *preflight_problems(inputs.preflight, preflight, plan),
            *_unfinished(inputs, migration),
        ),
        pending=pending.pending(
            inputs.held,
            tuned,
            inputs.before,
            service=inputs.owner.name,
            has_slot=inputs.has_slot and not conditions.ready,
            others=inputs.rotating,
        ),
        url=_url(inputs),
        entries=tuple(
            EntryStatus(name=item.entry.name, url=item.url)
            for item in (plan.entries if plan else ())
            if item.url is not None
        ),
        replicas=replicas,
        selector=_selector(inputs.owner) if app is not None else None,
        # After a restart of the operator, the stored digest is used until the pods are listed.
        image_digest=inputs.image_digest or inputs.before.get("imageDigest"),
        migration=migration,
        preflight=preflight,
        canary=canary_status(inputs.canary),
        recommendations=recommendations_in_force(
            inputs.recommendations, inputs.before, inputs.plan
        ),
        trials=trials_of(inputs.tuning),
        leak=inputs.leak,
        settings=inputs.settings,
    )


def part_health(inputs: StatusInput) -> dict[Part, Health]:
    """Returns the health of each desired part: that of its least healthy object."""
    parts: dict[Part, Health] = {}
    waiting = {item.key: item for item in inputs.waiting}
    refused = {item.key: item for item in inputs.refusals}
    for desired in inputs.desired:
        health = _object_health(desired, inputs, waiting, refused)
        if health.ready and inputs.address_seconds and _is_first_start(desired, inputs):
            health = Health(False, "WaitingForProxy", reloads.ADDRESS_MESSAGE)
        if health == Health(True) and desired.key in inputs.reloading:
            health = Health(True, reloads.REASON, reloads.MESSAGE)
        worst = parts.get(desired.part)
        has_message = health.ready and health.message and worst == Health(True)
        if worst is None or has_message or _severity(health) > _severity(worst):
            parts[desired.part] = health
    if inputs.preflight is not None:
        key = inputs.preflight.job
        child = inputs.observed.children.get(key)
        parts[Part.PREFLIGHT] = preflight_health(
            inputs.preflight, child, inputs.diagnoses.get(key), refused.get(key)
        )
    if inputs.migration is not None:
        parts[Part.MIGRATION] = _migration_health(inputs, inputs.migration)
    else:
        parts.pop(Part.MIGRATION, None)
    return {part: parts[part] for part in Part if part in parts}


def _is_first_start(desired: Desired, inputs: StatusInput) -> bool:
    """Whether a workload is that of the app, and the stored status has not seen it ready."""
    stored = inputs.before.get("conditions") or ()
    return (
        desired.part is Part.APP
        and desired.key.kind == DEPLOYMENT.kind
        and (Part.APP.condition, "True")
        not in {(item.get("type"), item.get("status")) for item in stored}
    )


def _object_health(
    desired: Desired,
    inputs: StatusInput,
    waiting: Mapping[ObjectKey, Waiting],
    refused: Mapping[ObjectKey, Refusal],
) -> Health:
    key, child = desired.key, inputs.observed.children.get(desired.key)
    if key in refused:
        return Health(False, refused[key].reason, refused[key].message, failed=True)
    if child is None:
        return _missing(key, waiting)
    health = child_health(desired, child)
    diagnosis = inputs.diagnoses.get(key)
    if health.ready:
        if diagnosis is None or health.reason != SCALING:
            return health
        return health._replace(message=f"{health.message}: {diagnosis.message}")
    message = f"{key.kind} {key.name}: {health.message}"
    if diagnosis is not None and key.kind == CRON_JOB.kind:
        # The CronJob has the time of the last run, and the pod has its error.
        return health._replace(message=f"{message}; {diagnosis.message}")
    return diagnosis or health._replace(message=message)


def _missing(key: ObjectKey, waiting: Mapping[ObjectKey, Waiting]) -> Health:
    if key in waiting:
        return Health(False, waiting[key].reason, f"{key} {waiting[key].message}")
    return Health(False, "NotWritten", f"{key} is not written yet")


def _migration_health(inputs: StatusInput, migration: Migration) -> Health:
    if _has_migrated(inputs, migration):
        older, orphans = _older_job(inputs, migration), inputs.observed.orphans
        if orphans:
            return Health(False, *waits_for_pod(inputs.owner.namespace, orphans))
        return Health(True) if older is None else Health(False, *waits_for_job(older))
    refusal = next((item for item in inputs.refusals if item.key == migration.job), None)
    if refusal is not None:
        return Health(False, refusal.reason, refusal.message, failed=True)
    job = inputs.observed.children.get(migration.job)
    if job is None:
        waiting = next((item for item in inputs.waiting if item.key == migration.job), None)
        reason = waiting.reason if waiting else "WaitingForDatabase"
        message = waiting.message if waiting else "waits for the database"
        return Health(False, reason, f"the migration {message}")
    return _job_health(inputs, job)


def _job_health(inputs: StatusInput, job: Child) -> Health:
    diagnosis = inputs.diagnoses.get(job.key)
    if job.health.failed:
        message = (diagnosis.message if diagnosis else "") or job.health.message
        done = inputs.migration_report.summary if inputs.migration_report else ""
        message = "; ".join(part for part in (message, done, remedy(message)) if part)
        message = f"Job {job.key.name}: {message}"
        return Health(False, "MigrationFailed", message, failed=True)
    if diagnosis is not None:
        return diagnosis
    if job.health.reason == JOB_SUSPENDED:
        return job.health._replace(message=f"Job {job.key.name}: {job.health.message}")
    return Health(False, "MigrationRunning", f"Job {job.key.name} has not finished")


def _has_migrated(inputs: StatusInput, migration: Migration) -> bool:
    """Whether a migration has succeeded, also if its Job has finished only now."""
    if is_recorded(inputs.observed, migration.key, migration.request):
        return True
    job = inputs.observed.children.get(migration.job)
    return job is not None and job.owner_uid == inputs.owner.uid and job.health.ready


def _older_job(inputs: StatusInput, migration: Migration) -> Child | None:
    unfinished = unfinished_jobs(inputs.observed, inputs.owner)
    return next((child for child in unfinished if child.key != migration.job), None)


def _mark_summary(
    conditions: Conditions, inputs: StatusInput, parts: Mapping[Part, Health]
) -> None:
    needed = {part: health for part, health in parts.items() if part.record.required}
    unready = sorted(
        ((part, health) for part, health in needed.items() if not health.ready),
        key=lambda item: (-_severity(item[1]), CAUSES_FIRST.index(item[0])),
    )
    error = next((p for p in inputs.problems if p.severity is Severity.ERROR), None)
    first = (parts.get(part) for part in (Part.PREFLIGHT, Part.MIGRATION))
    failed = next((health for health in first if health is not None and health.failed), None)
    canary = _canary(inputs)
    if inputs.suspended:
        conditions.mark_suspended(ready=bool(needed) and not unready, released=inputs.released)
    elif error is not None and inputs.api_seconds:
        conditions.mark_reconciling("WaitingForApi", f"waits for an API: {error}")
    elif error is not None:
        conditions.mark_stalled("InvalidSpec", str(error))
    elif inputs.refusals:
        refusal = inputs.refusals[0]
        conditions.mark_stalled(refusal.reason, refusal.message)
    elif failed is not None:
        conditions.mark_stalled(failed.reason, failed.message)
    elif inputs.failure:
        conditions.mark_reconciling("Retrying", inputs.failure)
    elif unready:
        part, health = unready[0]
        message = f"{part.value}: {health.message or health.reason}"
        needs_help = health.reason == VOLUME_LOST or _past_deadline(inputs)
        mark = conditions.mark_stalled if needs_help else conditions.mark_reconciling
        mark(health.reason or "Progressing", message)
        if canary is not None and canary.stopped and not needs_help:
            conditions.mark_stopped(canary.reason, canary.message)
    elif canary is not None and canary.stopped:
        # The released version serves all requests, and a person must decide about the new one.
        conditions.mark_ready()
        conditions.mark_stopped(canary.reason, canary.message)
    else:
        # A part that is ready with a reason makes progress: it scales out, or its volume grows.
        working = {
            part: health
            for part, health in parts.items()
            if health.ready and health.reason and not _is_of_trial(part, health, inputs.canary)
        }
        reason = next(iter(working.values())).reason if working else ""
        messages = [f"{part.value}: {health.message}" for part, health in working.items()]
        if canary is not None:
            reason, messages = canary.reason, [canary.message, *messages]
        conditions.mark_ready(reason, "; ".join(messages))


def _is_of_trial(part: Part, health: Health, canary: CanaryTarget | None) -> bool:
    """Whether a part only makes progress because numbers are tried: the spec is released."""
    if canary is None or not canary.is_trial:
        return False
    return part is Part.CANARY or health.reason == reloads.REASON


def _canary(inputs: StatusInput) -> CanarySummary | None:
    release = inputs.observed.release
    return summarize(
        inputs.canary,
        inputs.owner,
        release.spec if release is not None else {},
        migrates=inputs.migration is not None,
    )


def _past_deadline(inputs: StatusInput) -> bool:
    """Whether pods did not become ready within a rollout's deadline, for any reason."""
    found = (
        child_health(desired, child)
        for desired in inputs.desired
        if desired.part.record.required
        and (child := inputs.observed.children.get(desired.key)) is not None
    )
    return any(health.reason == "ProgressDeadlineExceeded" for health in found)


def _severity(health: Health) -> int:
    return 0 if health.ready else 2 if health.failed else 1


def _app(inputs: StatusInput) -> Any:
    keys = (
        desired.key
        for desired in inputs.desired
        if desired.part is Part.APP and desired.key.kind == DEPLOYMENT.kind
    )
    return next((inputs.observed.children.get(key) for key in keys), None)


def _url(inputs: StatusInput) -> str | None:
    """Returns the URL for clients outside of the cluster, or else the one inside."""
    exposure = inputs.plan.exposure if inputs.plan else None
    if exposure is not None and exposure.url is not None:
        return exposure.url
    owner = inputs.owner
    for desired in inputs.desired:
        if desired.key.kind == "Service" and desired.key.name == owner.name:
            port = desired.body["spec"]["ports"][0]["port"]
            tail = "" if port == 80 else f":{port}"
            return f"http://{owner.name}.{owner.namespace}.svc{tail}"
    return None


def _selector(owner: Owner) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted(naming.selector(owner.name, Part.APP).items()))


def _tuning(decisions: Iterable[Decision[Any]]) -> tuple[TunedValue, ...]:
    return tuple(
        TunedValue(
            name=decision.name,
            value=_shown(decision),
            reason=decision.reason,
            source=decision.source.value,
        )
        for decision in decisions
    )


def _shown(decision: Decision[Any]) -> int | str | bool:
    value = decision.value
    if isinstance(value, bool | int):
        return (
            value if not decision.name.endswith(("_bytes", "_millicores")) else decision.display()
        )
    return decision.display() if isinstance(value, tuple) else str(value)


def _budget(plan: Plan | None) -> BudgetStatus | None:
    budget = plan.budget if plan else None
    if budget is None:
        return None
    return BudgetStatus(
        processes=budget.processes,
        demand=budget.demand,
        pooler_clients=budget.pooler_clients,
        pooler_servers=budget.pooler_servers,
        max_connections=budget.max_connections,
        reserved=budget.reserved,
        direct=budget.direct or None,
    )


def _problems(problems: Iterable[Problem]) -> tuple[StatusProblem, ...]:
    ordered = sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR)
    return tuple(
        StatusProblem(
            severity=problem.severity.value,
            path=problem.path,
            message=f"{problem.message}; {problem.remedy}" if problem.remedy else problem.message,
        )
        for problem in ordered
    )


def _migration(inputs: StatusInput) -> MigrationStatus | None:
    migration = inputs.migration
    if migration is None:
        return None
    state = _state(inputs, migration)
    stored = inputs.before.get("migration") or {}
    return MigrationStatus(
        key=migration.key,
        state=state,
        revision=_revision(inputs, migration, state),
        database=migration.database or stored.get("database"),
    )


def _state(inputs: StatusInput, migration: Migration) -> MigrationState:
    if _has_migrated(inputs, migration):
        return "Succeeded"
    job = inputs.observed.children.get(migration.job)
    if job is None:
        return "Waiting"
    return "Failed" if job.health.failed else "Running"


def _revision(inputs: StatusInput, migration: Migration, state: MigrationState) -> str | None:
    """Returns the revision that the last migration left; None if it is not known.

    The stored one stays valid until another Job starts or the database is another one. A previous
    image needs no Job, so the database keeps the revision of the newer image.
    """
    report = _report(inputs)
    if report is not None:
        return report.after or None
    stored = inputs.before.get("migration") or {}
    if state == "Running" or migration.older:
        return None
    if stored.get("key") == migration.key and stored.get("state") == state:
        return stored.get("revision")
    kept = stored.get("state") != "Running" and not migration.is_last
    same_database = migration.database in (None, stored.get("database"))
    return stored.get("revision") if kept and same_database else None


def _report(inputs: StatusInput) -> MigrationReport | None:
    """Returns what the newest migration Job left in the database, if that was read."""
    is_last = inputs.migration is not None and inputs.migration.is_last
    return inputs.migration_report if is_last else None


def _unfinished(
    inputs: StatusInput, migration: MigrationStatus | None
) -> tuple[StatusProblem, ...]:
    """Returns what the last migration left unfinished; kept until another one was checked."""
    report = _report(inputs)
    if report is None:
        kept = (item for item in inputs.before.get("problems") or () if item["path"] == REPORT_PATH)
        return tuple(StatusProblem(**item) for item in kept)
    if migration is None or migration.state != "Succeeded":
        return ()  # The message about the failure has it.
    return tuple(
        StatusProblem(severity="warning", path=REPORT_PATH, message=line)
        for line in report.unfinished
    )
