"""The facts of a migration Job: which migration it runs, on which database, with which inputs."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from fastapi_operator import naming

# On a migration Job: the facts that its name and its status do not have.
MIGRATION_ANNOTATION = f"{naming.GROUP}/migration"

Body = Mapping[str, Any]


class Attempt(NamedTuple):
    """A migration Job, as its annotation and its status describe it.

    Attributes:
        request: The migration that the spec requests, without the database.
        key: The migration of this database; empty for a Job of an operator before 0.2.
        inputs: A hash of everything that reaches its pods; empty for a Job of such an operator.
        database: The keyed hash of an external database's address; empty for other databases.
        started: Whether its status shows that a pod has started.
    """

    request: str = ""
    key: str = ""
    inputs: str = ""
    database: str = ""
    started: bool = False

    @classmethod
    def of(cls, body: Body) -> Self:
        """Returns the facts of a live Job."""
        text = (body["metadata"].get("annotations") or {}).get(MIGRATION_ANNOTATION)
        started = _has_started(body.get("status") or {})
        try:
            request, key, inputs, database = (str(item) for item in json.loads(text or "[]"))
        except (TypeError, ValueError):
            return cls(started=started)
        return cls(request, key, inputs, database, started)

    @property
    def text(self) -> str:
        """The value of the annotation."""
        return json.dumps([self.request, self.key, self.inputs, self.database])


def _has_started(status: Body) -> bool:
    counted = ("ready", "failed", "succeeded", "terminating")
    uncounted = status.get("uncountedTerminatedPods") or {}
    return any(status.get(name) for name in counted) or any(uncounted.values())


def pod_has_started(pod: Body) -> bool:
    """Whether a container of a pod's program may have run."""
    status = pod.get("status") or {}
    if status.get("phase") not in (None, "Pending"):
        return True
    return any(
        container.get("restartCount")
        or not (container.get("state") or {}).keys() <= {"waiting"}
        or container.get("lastState")
        for container in status.get("containerStatuses") or ()
    )
