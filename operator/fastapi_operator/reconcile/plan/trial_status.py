"""Trials of automatic tuning in the status and in Events."""

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from fastapi_operator.api.status import MOST_TRIALS, TrialStatus
from fastapi_operator.reconcile.observe.tuning_record import TuningRecord


def trials_of(record: TuningRecord | None) -> tuple[TrialStatus, ...]:
    """Returns the newest trials that ended."""
    return tuple(
        TrialStatus(
            ended=datetime.datetime.fromtimestamp(entry.at, datetime.UTC).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
            numbers=entry.step.text,
            evidence=entry.step.evidence,
            verdict=entry.verdict.value,
            reason=entry.reason,
        )
        for entry in (record.history[:MOST_TRIALS] if record is not None else ())
    )


def events_of_trials(
    before: Mapping[str, Any], trials: tuple[TrialStatus, ...]
) -> Iterator[tuple[Literal["Normal"], str, str]]:
    """Yields type, reason and message of the Events about trials that ended since.

    Args:
        before: The stored status.
        trials: The new ones.
    """
    known = {(item.get("ended"), item.get("numbers")) for item in before.get("trials") or ()}
    for trial in reversed(trials):
        if (trial.ended, trial.numbers) not in known:
            message = f"{trial.numbers}, since {trial.evidence}: {trial.reason}"
            yield "Normal", f"Tuning{trial.verdict}", message
