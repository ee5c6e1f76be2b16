"""The reports of migrations: the termination messages of their sidecars.

A report is read once, from the pods of a Job that has ended. If the migration succeeded, the status
keeps it, since the Job is deleted some day.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi_operator.cluster.kinds import JOB
from fastapi_operator.parts import CHECKS, Part
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.observed import Child
from fastapi_operator.resources.desired import Desired, ObjectKey

_REVISION, _UNFINISHED = "revision: ", "unfinished: "

Body = Mapping[str, Any]


@dataclass(frozen=True)
class MigrationReport:
    """The state that a migration left in the database.

    Attributes:
        before: The revision before it; empty if it is not known.
        after: The revision after it; empty if it is not known.
        unfinished: Objects to complete, each with the statement.
        notes: Other lines, for example a statement that was cancelled.
    """

    before: str = ""
    after: str = ""
    unfinished: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What a failed migration has done; empty if that is not known."""
        done = []
        if self.after:
            same = self.before == self.after
            change = f"still {self.after}" if same else f"{self.after}, before it {self.before}"
            done.append(f"the revision is {change}")
        return "; ".join((*self.notes, *done, *self.unfinished))


def parse_report(text: str) -> MigrationReport:
    """Returns the report in a termination message."""
    before = after = ""
    unfinished, notes = [], []
    for line in text.splitlines():
        if line.startswith(_REVISION):
            before, _, after = line.removeprefix(_REVISION).partition(" -> ")
        elif line.startswith(_UNFINISHED):
            unfinished.append(line.removeprefix(_UNFINISHED))
        elif line.strip():
            notes.append(line.strip())
    return MigrationReport(before, after, tuple(unfinished), tuple(notes))


def find_report(pods: Iterable[Body]) -> MigrationReport | None:
    """Returns the report of a migration's pod; None if its sidecar has not ended."""
    for pod in pods:
        for status in pod.get("status", {}).get("initContainerStatuses") or ():
            ended = (status.get("state") or {}).get("terminated")
            if status.get("name") == CHECKS and ended:
                return parse_report(ended.get("message") or "")
    return None


class MigrationReports:
    """The report of the last migration of each service, as far as this process has read it."""

    def __init__(self) -> None:
        self._reports: dict[ServiceKey, tuple[ObjectKey, MigrationReport | None]] = {}
        # Jobs seen before they ended: a status with their success may be stored before the report
        # is read, if they end during a reconciliation.
        self._running: dict[ServiceKey, ObjectKey] = {}

    def due(
        self,
        service: ServiceKey,
        desired: Iterable[Desired],
        children: Mapping[ObjectKey, Child],
        *,
        migration_key: str | None,
        before: Body,
    ) -> Sequence[Desired]:
        """Returns the migration Jobs that have succeeded and whose report has not been read.

        Args:
            service: The service.
            desired: Its desired objects.
            children: Its live objects.
            migration_key: Key of the desired migration.
            before: The stored status; if it has the success, it has the report too.
        """
        stored = before.get("migration") or {}
        known = stored.get("key") == migration_key and stored.get("state") == "Succeeded"
        ended = []
        for item in desired:
            child = children.get(item.key)
            if not _is_migration(item) or child is None:
                continue
            if not child.health.ready:
                self._running[service] = item.key
            elif self._reports.get(service, (None, None))[0] != item.key and (
                not known or self._running.get(service) == item.key
            ):
                ended.append(item)
        return ended

    def record(self, service: ServiceKey, desired: Desired, pods: Iterable[Body]) -> None:
        """Records the report of a migration's Job; ignores other workloads."""
        if _is_migration(desired):
            self._reports[service] = (desired.key, find_report(pods))

    def find(self, service: ServiceKey, desired: Iterable[Desired]) -> MigrationReport | None:
        """Returns the report of the desired migration; None if there is none."""
        job, report = self._reports.get(service, (None, None))
        return report if any(item.key == job for item in desired) else None

    def forget(self, service: ServiceKey) -> None:
        """Drops the report of a deleted service."""
        self._reports.pop(service, None)
        self._running.pop(service, None)


def _is_migration(desired: Desired) -> bool:
    return desired.key.kind == JOB.kind and desired.part is Part.MIGRATION
