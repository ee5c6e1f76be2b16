"""What the operator answers: conditions, tuned values, problems. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.status import (
    BudgetStatus,
    MigrationStatus,
    Pending,
    Status,
    StatusProblem,
    TunedValue,
)
from fastapi_operator.cluster.kinds import CRON_JOB, DEPLOYMENT
from fastapi_operator.parts import CAUSES_FIRST, Part
from fastapi_operator.problems import Problem, Severity
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Health, Observed
from fastapi_operator.reconcile.plan import pending
from fastapi_operator.reconcile.plan.conditions import Conditions
from fastapi_operator.reconcile.plan.pending import Held
from fastapi_operator.reconcile.plan.refusals import Refusal
from fastapi_operator.reconcile.plan.remedies import remedy
from fastapi_operator.reconcile.plan.steps import Waiting, migrated, migration_job
from fastapi_operator.resources.desired import Desired, ObjectKey
from fastapi_operator.tuning.decision import Decision
from fastapi_operator.tuning.plan import Plan


@dataclass(frozen=True)
class Situation:
    """All that the answer depends on.

    Attributes:
        owner: The service.
        generation: The generation that this pass acted on.
        before: The status that is stored now, as the API server has it.
        now: The time of a transition, RFC 3339.
        problems: What is wrong with the spec.
        plan: The numbers; None where the spec is refused.
        desired: Objects that the service wants.
        observed: Its live objects.
        waiting: Wanted objects that wait for something.
        refusals: Writes that were refused.
        diagnoses: What the pods of unready workloads say.
        migration_key: Key of the wanted migration.
        suspended: Nothing is written on request.
        failure: The error of the operator or the API server that ended this pass.
        held: Writes that wait for an approval or a turn.
        rotating: What rotations of credentials wait for.
        turn: Others wait until this service is ready under the operator's new version.
        image_digest: The digest that the app's pods were last seen to run.
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
    migration_key: str | None = None
    suspended: bool = False
    failure: str = ""
    held: Sequence[Held] = ()
    rotating: Sequence[Pending] = ()
    turn: bool = False
    image_digest: str | None = None


def status_of(situation: Situation) -> Status:
    """The answer to a service, from what its objects are like now."""
    conditions = Conditions(
        generation=situation.generation, now=situation.now, before=situation.before
    )
    parts = part_health(situation)
    _summarise(conditions, situation, parts)
    for part, health in parts.items():
        if health.ready:
            conditions.mark_part_ready(part, health.message)
        else:
            conditions.mark_part_not_ready(part, health)
    plan = situation.plan
    tuned = _tuning(plan.headline()) if plan else ()
    app = _app(situation)
    replicas = app.replicas.live if app is not None and app.replicas is not None else None
    return Status(
        observed_generation=situation.generation,
        conditions=conditions.all(),
        tuning=pending.in_force(situation.held, tuned, situation.before),
        connection_budget=_budget(plan),
        problems=_problems(situation.problems),
        pending=pending.pending(
            situation.held,
            tuned,
            situation.before,
            service=situation.owner.name,
            turn=situation.turn and not conditions.ready,
            others=situation.rotating,
        ),
        url=_url(situation),
        replicas=replicas,
        selector=_selector(situation.owner) if app is not None else None,
        # A restarted operator has not looked yet: what was seen last is still the best answer.
        image_digest=situation.image_digest or situation.before.get("imageDigest"),
        migration=_migration(situation),
    )


def part_health(situation: Situation) -> dict[Part, Health]:
    """The health of each wanted part: of its worst object."""
    parts: dict[Part, Health] = {}
    waiting = {item.key: item for item in situation.waiting}
    refused = {item.key: item for item in situation.refusals}
    for desired in situation.desired:
        health = _object_health(desired, situation, waiting, refused)
        worst = parts.get(desired.part)
        told = health.ready and health.message and worst == Health(True)
        if worst is None or told or _badness(health) > _badness(worst):
            parts[desired.part] = health
    if situation.migration_key is not None:
        parts[Part.MIGRATION] = _migration_health(situation)
    else:
        parts.pop(Part.MIGRATION, None)
    return {part: parts[part] for part in Part if part in parts}


def _object_health(
    desired: Desired,
    situation: Situation,
    waiting: Mapping[ObjectKey, Waiting],
    refused: Mapping[ObjectKey, Refusal],
) -> Health:
    key = desired.key
    if key in refused:
        return Health(False, refused[key].reason, refused[key].message, failed=True)
    child = situation.observed.children.get(key)
    if child is None:
        if key in waiting:
            return Health(False, waiting[key].reason, f"{key} {waiting[key].message}")
        return Health(False, "NotWritten", f"{key} is not written yet")
    if child.health.ready:
        return child.health
    diagnosis = situation.diagnoses.get(key)
    told = f"{key.kind} {key.name}: {child.health.message}"
    if diagnosis is not None and key.kind == CRON_JOB.kind:
        # When the last run was and what its pod said: the one is not known from the other.
        return child.health._replace(message=f"{told}; {diagnosis.message}")
    return diagnosis or child.health._replace(message=told)


def _migration_health(situation: Situation) -> Health:
    key = situation.migration_key
    assert key is not None
    if migrated(situation.observed, situation.owner, key):
        return Health(True)
    job_key = migration_job(situation.owner, key)
    refusal = next((item for item in situation.refusals if item.key == job_key), None)
    if refusal is not None:
        return Health(False, refusal.reason, refusal.message, failed=True)
    job = situation.observed.children.get(job_key)
    if job is None:
        return Health(False, "WaitingForDatabase", "the migration waits for the database")
    if job.health.failed:
        told = situation.diagnoses.get(job_key)
        message = told.message if told is not None and told.message else job.health.message
        advice = remedy(message)
        message = f"Job {job_key.name}: {message}" + (f"; {advice}" if advice else "")
        return Health(False, "MigrationFailed", message, failed=True)
    told = situation.diagnoses.get(job_key)
    if told is not None:
        return told
    return Health(False, "MigrationRunning", f"Job {job_key.name} has not finished")


def _summarise(conditions: Conditions, situation: Situation, parts: Mapping[Part, Health]) -> None:
    needed = {part: health for part, health in parts.items() if part.record.required}
    unready = sorted(
        ((part, health) for part, health in needed.items() if not health.ready),
        key=lambda item: (-_badness(item[1]), CAUSES_FIRST.index(item[0])),
    )
    error = next((p for p in situation.problems if p.severity is Severity.ERROR), None)
    migration = parts.get(Part.MIGRATION)
    if situation.suspended:
        conditions.mark_suspended(ready=bool(needed) and not unready)
    elif error is not None:
        conditions.mark_stalled("InvalidSpec", str(error))
    elif situation.refusals:
        first = situation.refusals[0]
        conditions.mark_stalled(first.reason, first.message)
    elif migration is not None and migration.failed:
        conditions.mark_stalled(migration.reason, migration.message)
    elif situation.failure:
        conditions.mark_reconciling("Retrying", situation.failure)
    elif unready:
        part, health = unready[0]
        told = f"{part.value}: {health.message or health.reason}"
        mark = conditions.mark_stalled if _past_deadline(situation) else conditions.mark_reconciling
        mark(health.reason or "Progressing", told)
    else:
        conditions.mark_ready()


def _past_deadline(situation: Situation) -> bool:
    """Whether pods did not become ready within a rollout's deadline, whatever they say of it."""
    found = (
        situation.observed.children.get(desired.key)
        for desired in situation.desired
        if desired.part.record.required
    )
    return any(child and child.health.reason == "ProgressDeadlineExceeded" for child in found)


def _badness(health: Health) -> int:
    return 0 if health.ready else 2 if health.failed else 1


def _app(situation: Situation) -> Any:
    keys = (
        desired.key
        for desired in situation.desired
        if desired.part is Part.APP and desired.key.kind == DEPLOYMENT.kind
    )
    return next((situation.observed.children.get(key) for key in keys), None)


def _url(situation: Situation) -> str | None:
    """Where clients outside reach the service, else where it answers inside the cluster."""
    exposure = situation.plan.exposure if situation.plan else None
    if exposure is not None and exposure.url is not None:
        return exposure.url
    owner = situation.owner
    for desired in situation.desired:
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
    return str(value)


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


def _migration(situation: Situation) -> MigrationStatus | None:
    key = situation.migration_key
    if key is None:
        return None
    if migrated(situation.observed, situation.owner, key):
        return MigrationStatus(key=key, state="Succeeded")
    job = situation.observed.children.get(migration_job(situation.owner, key))
    if job is None:
        return MigrationStatus(key=key, state="Waiting")
    return MigrationStatus(key=key, state="Failed" if job.health.failed else "Running")
