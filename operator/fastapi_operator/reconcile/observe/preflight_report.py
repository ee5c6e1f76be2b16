"""The report of a preflight: the facts of an image, and whether it can start."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from fastapi_operator import naming
from fastapi_operator.api.status import PreflightStatus

# On the Job of a preflight: the key of the image that it checks.
PREFLIGHT_ANNOTATION = f"{naming.GROUP}/preflight"

Body = Mapping[str, Any]


class Outcome(StrEnum):
    """The outcome of a preflight; UNKNOWN does not stop the rollout."""

    PASSED = "Passed"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class PreflightReport:
    """The result of a preflight.

    Attributes:
        key: The key of the checked image.
        job_uid: The uid of its Job.
        outcome: Whether the image can start.
        reason: The kind of the fault, as one CamelCase word; empty without one.
        message: The fault with its place and remedy; empty without one.
        digest: The digest of the image; empty if its pod never ran.
        figures: The measured values: fields of ``PreflightStatus``.
    """

    key: str
    job_uid: str
    outcome: Outcome
    reason: str = ""
    message: str = ""
    digest: str = ""
    figures: Mapping[str, Any] | None = None

    @classmethod
    def of_status(cls, stored: Body) -> Self | None:
        """Returns the report in a stored status; None if it has none."""
        try:
            return cls(
                key=stored["key"],
                job_uid=stored["jobUid"],
                outcome=Outcome(stored["outcome"]),
                reason=stored.get("reason", ""),
                message=stored.get("message", ""),
                digest=stored.get("digest", ""),
            )
        except (KeyError, ValueError):
            return None

    def accepts(self, request: str) -> bool:
        """Whether it is about the image of a request, and does not stop its rollout."""
        return self.key == request and self.outcome is not Outcome.FAILED

    def to_status(self) -> PreflightStatus:
        """Returns the section of the status."""
        return PreflightStatus(
            key=self.key,
            job_uid=self.job_uid,
            outcome=self.outcome.value,
            reason=self.reason or None,
            message=self.message or None,
            digest=self.digest or None,
            **(self.figures or {}),
        )
