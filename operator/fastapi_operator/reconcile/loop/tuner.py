"""Moves automatic tuning on: writes its record before anything that follows from it."""

from collections.abc import Mapping
from typing import Any

import structlog

from fastapi_operator.cluster.client import Client
from fastapi_operator.reconcile.loop import steady
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Observed
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.observe.tuning_record import TuningRecord, record_key
from fastapi_operator.reconcile.plan.canary_situation import hash_spec
from fastapi_operator.reconcile.plan.canary_target import hash_template
from fastapi_operator.reconcile.plan.release import is_released
from fastapi_operator.reconcile.plan.target import Target
from fastapi_operator.reconcile.plan.tuning_trial import Proposal, TuningSituation, next_tuning
from fastapi_operator.reconcile.write.outcome import Outcome
from fastapi_operator.reconcile.write.record_writer import RecordWriter
from fastapi_operator.resources.desired import Gate
from fastapi_operator.tuning.automatic import is_automatic

_log = structlog.get_logger(__name__)


class Tuner:
    """Begins and ends trials of numbers; their state is in their records alone."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client = client
        self._writer = RecordWriter(client, store)

    async def write(self, following: TuningRecord | None, owner: Owner, outcome: Outcome) -> bool:
        """Writes the record that follows; returns whether it is stored.

        Args:
            following: The record; None deletes it.
            owner: The service.
            outcome: Gets the error if it cannot be written.
        """
        body = following.to_body(owner) if following is not None else None
        if not await self._writer.write(record_key(owner), body, owner, outcome):
            return False
        trial = following.trial if following is not None else None
        ended = following.history[0] if following is not None and following.history else None
        _log.info(
            "tuning",
            service=owner.name,
            namespace=owner.namespace,
            trial=trial.step.text if trial is not None else "",
            verdict=ended.verdict.value if ended is not None and trial is None else "",
        )
        return not self._client.dry_run


def following_record(
    target: Target,
    body: Mapping[str, Any],
    owner: Owner,
    observed: Observed,
    proposal: Proposal | None,
) -> TuningRecord | None:
    """Returns the record of automatic tuning that follows from the live objects."""
    situation = _situation(target, body, observed.canary(owner.uid), observed)
    return next_tuning(target.tuning, situation, proposal, int(steady.now()))


def _situation(
    target: Target, body: Mapping[str, Any], canary: CanaryRecord | None, observed: Observed
) -> TuningSituation:
    spec = body["spec"]
    plan = target.state.plan if not target.state.error else None
    automatic = is_automatic(plan.spec) if plan is not None and not target.state.suspended else None
    released = is_released(observed.release, spec)
    is_alone = canary is None and (target.canary is None or not target.canary.situation.present)
    if automatic is False and not (released and is_alone):
        # The released pods have the accepted numbers until others are released.
        automatic = None
    differs = None
    if target.trial is not None:
        differs = hash_template(target.trial) not in (None, hash_template(target.desired))
    return TuningSituation(
        spec=hash_spec(spec),
        automatic=automatic,
        idle=released and is_alone and Gate.PROMOTED in target.gates and _is_ready(body),
        canary=canary,
        differs=differs,
    )


def _is_ready(body: Mapping[str, Any]) -> bool:
    """Whether the stored status reports the newest generation as ready, and nothing in progress."""
    status = body["status"]
    conditions = {item["type"]: item["status"] for item in status.get("conditions") or ()}
    is_current = status.get("observedGeneration") == body["metadata"]["generation"]
    is_settled = conditions.get("Reconciling") != "True" and conditions.get("Stalled") != "True"
    return is_current and is_settled and conditions.get("Ready") == "True"
