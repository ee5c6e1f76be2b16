"""Writes the status of a service and posts Events, each as rarely as possible."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from fastapi_operator import naming
from fastapi_operator.api.status import Condition, Status
from fastapi_operator.cluster import events
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.kinds import SERVICE
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.own_status import foreign_fields
from fastapi_operator.reconcile.observe.reading import LiveService
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.plan.canary_status import events_of
from fastapi_operator.reconcile.plan.leak_terms import leak_events
from fastapi_operator.reconcile.plan.trial_status import events_of_trials

# Progress is written at most this often; important changes are written at once.
PROGRESS_SECONDS = 15.0
# If a changed service is Ready again within this time, its status never shows the interruption.
INTERRUPTION_SECONDS = 1.0
# Reasons why a service is not Ready yet although nothing is wrong. All others are important.
PROGRESSING_REASONS = frozenset(
    {
        "Deleting",
        "MigrationRunning",
        "NotWritten",
        "NotYetActive",
        "PodsNotReady",
        "PreflightRunning",
        "Progressing",
        "RollingOut",
        "Running",
        "WaitingForDatabase",
        "WaitingForMigration",
        "WaitingForOtherMigration",
        "WaitingForPreflight",
        "WaitingForProxy",
    }
)
# A rollout with one of these reasons is normal and causes no Event.
_ROLLOUT_REASONS = frozenset({"Progressing", "RollingOut"})

EventType = Literal["Normal", "Warning"]


class StatusWriter:
    """Decides when a changed status is written, writes it, and posts the Events of transitions."""

    def __init__(
        self, client: Client, store: Store, *, clock: Callable[[], float], instance: str
    ) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._instance = instance
        self._written_at: dict[ServiceKey, float] = {}
        self._interrupted_at: dict[ServiceKey, float] = {}

    def forget(self, key: ServiceKey) -> None:
        """Drops the times of a deleted service."""
        self._written_at.pop(key, None)
        self._interrupted_at.pop(key, None)

    async def report(
        self, live: LiveService, before: Mapping[str, Any], status: Status
    ) -> float | None:
        """Writes the status if it changed and the change is due.

        Returns:
            The delay in seconds after which to report again; None if nothing is left to write.
        """
        new = status.to_body()
        has_foreign = live.body["hasForeignStatus"]
        if new == before and not has_foreign:
            return None
        delay = 0.0 if has_foreign else self._delay(live.key, before, new)
        if delay > 0:
            return delay
        await self.write(live.key, live.uid, new)
        self._written_at[live.key] = self._clock()
        self._interrupted_at.pop(live.key, None)
        if not self._client.dry_run:
            for event_type, condition in _transitions(before, status):
                message = condition.message or condition.type
                await self.post_event(live.key, live.uid, event_type, condition.reason, message)
            for event_type, reason, message in (
                *events_of(before, status.canary),
                *events_of_trials(before, status.trials),
                *leak_events(before, status.leak),
            ):
                await self.post_event(live.key, live.uid, event_type, reason, message)
        return None

    async def report_crash(
        self, live: LiveService, before: Mapping[str, Any], status: Mapping[str, Any], message: str
    ) -> None:
        """Writes the status after an error of the operator itself, and posts an Event once."""
        if status == before:
            return
        await self.write(live.key, live.uid, status)
        if summary_of(before.get("conditions")).get("Stalled") != ("True", "OperatorError"):
            await self.post_event(live.key, live.uid, "Warning", "OperatorError", message)

    async def write(self, key: ServiceKey, uid: str, status: Mapping[str, Any]) -> None:
        """Applies a status and stores the response."""
        body = {
            "apiVersion": naming.API_VERSION,
            "kind": naming.KIND,
            # If the service was recreated meanwhile, the uid makes the API server refuse this.
            "metadata": {"namespace": key.namespace, "name": key.name, "uid": uid},
            "status": status,
        }
        response = await self._client.apply_status(SERVICE, body)
        if self._client.dry_run:
            return
        if foreign := foreign_fields(response["status"], status):
            # An apply leaves the fields that only another client wrote.
            patch = {"metadata": {"uid": uid}, "status": foreign}
            response = await self._client.merge(
                SERVICE, key.namespace, key.name, patch, subresource="status"
            )
        self._store.put_service(response)

    async def post_event(
        self, key: ServiceKey, uid: str, event_type: EventType, reason: str, message: str
    ) -> None:
        """Posts an Event about a service."""
        await events.post(
            self._client,
            namespace=key.namespace,
            name=key.name,
            uid=uid,
            kind=event_type,
            reason=reason,
            message=message,
            instance=self._instance,
        )

    def _delay(self, key: ServiceKey, before: Mapping[str, Any], new: Mapping[str, Any]) -> float:
        """Returns the seconds for which the write may wait, because a newer status is expected."""
        if _is_interruption(before, new):
            since = self._interrupted_at.setdefault(key, self._clock())
            return since + INTERRUPTION_SECONDS - self._clock()
        if _is_important(before, new):
            return 0.0
        return self._written_at.get(key, float("-inf")) + PROGRESS_SECONDS - self._clock()


def find_condition(status: Status, condition_type: str) -> Condition:
    """Returns the condition of that type."""
    return next(item for item in status.conditions if item.type == condition_type)


def summary_of(conditions: Any) -> dict[str, tuple[str, str]]:
    """Returns status and reason of the conditions Ready and Stalled in a stored status."""
    return {
        item["type"]: (item["status"], item["reason"])
        for item in conditions or ()
        if item["type"] in ("Ready", "Stalled")
    }


def _is_interruption(before: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a service that was Ready only progresses to a newer generation.

    Until this is written, observedGeneration shows that the status is of an older spec.
    """
    if before.get("observedGeneration") in (None, new.get("observedGeneration")):
        return False
    old, now = (summary_of(item.get("conditions")) for item in (before, new))
    return (
        old.get("Ready", ("",))[0] == "True"
        and now.get("Ready", ("", ""))[1] in PROGRESSING_REASONS
        and now.get("Stalled") == old.get("Stalled")
        and new.get("problems") == before.get("problems")
    )


def _is_important(before: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a change is more than progress towards Ready."""
    if before.get("observedGeneration") != new.get("observedGeneration"):
        return True
    old, now = (summary_of(item.get("conditions")) for item in (before, new))
    if {name: status for name, (status, _) in old.items()} != {
        name: status for name, (status, _) in now.items()
    }:
        return True
    if old.get("Stalled") != now.get("Stalled"):
        return True
    if _stage_of(before) != _stage_of(new) or before.get("trials") != new.get("trials"):
        return True
    old_reason, reason = (item.get("Ready", ("", ""))[1] for item in (old, now))
    return reason != old_reason and reason not in PROGRESSING_REASONS


def _stage_of(status: Mapping[str, Any]) -> tuple[Any, ...]:
    canary, leak = status.get("canary") or {}, status.get("leak") or {}
    stage = tuple(canary.get(name) for name in ("id", "phase", "step", "percent"))
    return (*stage, leak.get("state"), leak.get("at"))


def _transitions(before: Mapping[str, Any], status: Status) -> list[tuple[EventType, Condition]]:
    """Returns the changes that deserve an Event; a new service that becomes Ready does not."""
    old = summary_of(before.get("conditions"))
    found: list[tuple[EventType, Condition]] = []
    ready, stalled = find_condition(status, "Ready"), find_condition(status, "Stalled")
    is_new_generation = before.get("observedGeneration") != status.observed_generation
    if stalled.status == "True" and old.get("Stalled") != ("True", stalled.reason):
        found.append(("Warning", stalled))
    elif (
        old.get("Ready", ("",))[0] == "True"
        and ready.status == "False"
        and ready.reason not in _ROLLOUT_REASONS
        and not is_new_generation
    ):
        found.append(("Warning", ready))
    elif old.get("Stalled", ("",))[0] == "True" and ready.status == "True":
        found.append(("Normal", ready))
    return found
