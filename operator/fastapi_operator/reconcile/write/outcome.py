"""The results of the writes of a reconciliation, and the meaning of the API server's errors."""

from dataclasses import dataclass, field

from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.reconcile.plan.refusals import Refusal
from fastapi_operator.resources.desired import ObjectKey


class NamespaceTerminatingError(Exception):
    """The namespace is being deleted: nothing more can or should be written."""


class RefusedError(Exception):
    """A write was refused; it carries the refusal to report."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class BlockedError(Exception):
    """An old object must be deleted first."""


@dataclass
class Outcome:
    """The results of the steps.

    Attributes:
        done: Objects that were written or deleted, for the log.
        refusals: Writes that were refused.
        warnings: Changes by a default that an existing object does not permit.
        blocked: Objects that cannot be written until an old object is deleted.
        failure: The first temporary error; the reconciliation is retried.
        terminating: The error that reports that the namespace is terminating.
        braked: Whether deletes were postponed.
    """

    done: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    warnings: list[Refusal] = field(default_factory=list)
    blocked: list[ObjectKey] = field(default_factory=list)
    failure: ApiError | None = None
    terminating: ApiError | None = None
    braked: bool = False

    def add_error(self, key: ObjectKey, error: ApiError) -> None:
        """Adds an error of the API server: as a refusal if it is permanent, else as a failure."""
        if error.namespace_is_terminating:
            self.terminating = error
        elif error.other_managers:
            managers = ", ".join(error.other_managers)
            fields = ", ".join(name for name, _ in error.causes)
            message = f"{key}: {fields} is owned by the field manager {managers}"
            self.refusals.append(Refusal(key, "Conflict", message))
        elif error.temporary:
            self.failure = self.failure or error
        elif "exceeded quota" in error.message:
            self.refusals.append(Refusal(key, "QuotaExceeded", f"{key}: {error.message}"))
        else:
            reason = {403: "Forbidden", 404: "KindNotServed"}.get(error.status, "Invalid")
            message = f"{key}: {error.message}"
            self.refusals.append(Refusal(key, reason, message, faults=error.faults))
