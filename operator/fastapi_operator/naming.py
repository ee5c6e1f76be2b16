"""Names and labels of the objects that belong to a service.

``metadata.name`` of a service has at most 40 characters, so that each name here stays below the
63 that a label value and a Service name may have.
"""

import hashlib
import json
from collections.abc import Mapping

from fastapi_operator.parts import Part

GROUP = "fastapi-operator.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "FastAPIService"
PLURAL = "fastapiservices"
FIELD_MANAGER = "fastapi-operator"

SERVICE_LABEL = f"{GROUP}/service"
COMPONENT_LABEL = "app.kubernetes.io/component"
# The same label as Prometheus spells it: it joins the series of all parts of a service.
SERVICE_SERIES_LABEL = "fastapi_operator_io_service"
WATCHED_LABEL = f"{GROUP}/watched"
PROFILE_LABEL = f"{GROUP}/profile"
# Which of several background processes or schedules an object belongs to.
PROCESS_LABEL = f"{GROUP}/process"

# On a service: agrees to the one change of its database that status.pending names with this value.
APPROVE_ANNOTATION = f"{GROUP}/approve"

# On a service: a new value replaces the app's pods. On pod templates: the value they were made for.
RESTART_ANNOTATION = f"{GROUP}/restarted-at"

# On a service: a new value asks for other credentials. On a generated Secret: how far that is.
ROTATE_ANNOTATION = f"{GROUP}/rotate"
ROTATION_ANNOTATION = f"{GROUP}/rotation"

NAME_MAX_LENGTH = 40
# The runs of a CronJob and the revisions of a StatefulSet add 11 characters, of at most 63.
CRON_JOB_MAX_LENGTH = 52

# The keys of ``labels``: selectors, watches and dashboards rest on them.
OWN_LABELS = frozenset(
    {
        "app.kubernetes.io/name",
        COMPONENT_LABEL,
        "app.kubernetes.io/managed-by",
        SERVICE_LABEL,
        WATCHED_LABEL,
        PROCESS_LABEL,
    }
)


def child_name(service: str, *suffix: str) -> str:
    """The name of a child object: the service's name and what the child is."""
    return "-".join((service, *suffix))


def bounded(name: str, length: int) -> str:
    """A name of at most ``length`` characters; the end of one that is cut tells it from others."""
    if len(name) <= length:
        return name
    mark = content_hash(name)
    return f"{name[: length - len(mark) - 1].rstrip('-')}-{mark}"


def labels(service: str, part: Part) -> dict[str, str]:
    """The labels of a child; an allow-list, because copied labels make GitOps tools prune."""
    return {
        "app.kubernetes.io/name": service,
        COMPONENT_LABEL: part.value,
        "app.kubernetes.io/managed-by": "fastapi-operator",
        SERVICE_LABEL: service,
        WATCHED_LABEL: "true",
    }


def selector(service: str, part: Part) -> dict[str, str]:
    """The labels that select the pods of a part; never changed, since selectors are immutable."""
    return {SERVICE_LABEL: service, COMPONENT_LABEL: part.value}


def content_hash(content: Mapping[str, object] | str) -> str:
    """Ten characters that change when the content does, for names and annotations."""
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
