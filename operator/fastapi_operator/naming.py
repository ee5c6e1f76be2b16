"""Names and labels of the objects that belong to a service.

``metadata.name`` of a service has at most 40 characters, so that each name here stays within the
63 characters of a label value and of a Service name.
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

# The ConfigMap with the operator's settings, if the chart and the manifests are not changed.
DEFAULT_PUBLISHED_SETTINGS = "fastapi-operator-system/fastapi-operator-effective-settings"
SETTINGS_KEY = "settings.yaml"
VERSION_KEY = "version"

SERVICE_LABEL = f"{GROUP}/service"
COMPONENT_LABEL = "app.kubernetes.io/component"
# The same label in Prometheus. It joins the series of all parts of a service.
SERVICE_SERIES_LABEL = "fastapi_operator_io_service"
WATCHED_LABEL = f"{GROUP}/watched"
PROFILE_LABEL = f"{GROUP}/profile"
# Identity of the new version to which a pod belongs.
CANARY_LABEL = f"{GROUP}/canary"
# Name of the background process or schedule to which an object belongs.
PROCESS_LABEL = f"{GROUP}/process"

# On a service: approves the database change that status.pending shows with this value.
APPROVE_ANNOTATION = f"{GROUP}/approve"

# On a service: a new value restarts the app's pods. On pod templates: the value at their creation.
RESTART_ANNOTATION = f"{GROUP}/restarted-at"

# On a service: a new value rotates the credentials. On a generated Secret: state of the rotation.
ROTATE_ANNOTATION = f"{GROUP}/rotate"
ROTATION_ANNOTATION = f"{GROUP}/rotation"

# On a service: the uid of a lost volume; the service may begin without its data.
BEGIN_EMPTY_ANNOTATION = f"{GROUP}/begin-empty"

# On a service: the identity of a canary that is to be promoted, aborted or held in its step.
PROMOTE_ANNOTATION = f"{GROUP}/promote"
ABORT_ANNOTATION = f"{GROUP}/abort"
HOLD_ANNOTATION = f"{GROUP}/hold"

NAME_MAX_LENGTH = 40
# The runs of a CronJob and the revisions of a StatefulSet add 11 characters, of at most 63.
CRON_JOB_MAX_LENGTH = 52

# The keys of ``labels``. Selectors, watches and dashboards depend on them.
OWN_LABELS = frozenset(
    {
        "app.kubernetes.io/name",
        COMPONENT_LABEL,
        "app.kubernetes.io/managed-by",
        SERVICE_LABEL,
        WATCHED_LABEL,
        PROCESS_LABEL,
        CANARY_LABEL,
    }
)


# Labels that controllers of Kubernetes set, and by which they find their pods.
_CONTROLLERS_LABELS = frozenset(
    {
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "pod-template-hash",
        "statefulset.kubernetes.io/pod-name",
    }
)
OWN_PREFIX = f"{GROUP}/"


def is_reserved_label(name: str) -> bool:
    """Whether only the operator, or a controller of Kubernetes, sets a label of pods."""
    return name in OWN_LABELS | _CONTROLLERS_LABELS or name.startswith(OWN_PREFIX)


def child_name(service: str, *suffix: str) -> str:
    """Returns the name of an owned object: the service's name and a suffix."""
    return "-".join((service, *suffix))


def is_child_name(service: str, name: str) -> bool:
    """Whether an owned object of a service can have that name."""
    return bool(service) and (name == service or name.startswith(f"{service}-"))


def release_name(service: str, revision: int) -> str:
    """Returns the name of a release record."""
    return child_name(service, "release", str(revision))


def release_number(service: str, name: str) -> int | None:
    """Returns the number in the name of a release record; None if it is another name."""
    tail = name.removeprefix(child_name(service, "release", ""))
    is_number = tail != name and tail.isascii() and tail.isdigit()
    return int(tail) if is_number and not tail.startswith("0") else None


def bounded(name: str, length: int) -> str:
    """Returns a name of at most ``length`` characters; a name that is cut ends in its hash."""
    if len(name) <= length:
        return name
    mark = content_hash(name)
    return f"{name[: length - len(mark) - 1].rstrip('-')}-{mark}"


def labels(service: str, part: Part) -> dict[str, str]:
    """Returns the labels of an owned object.

    Labels of the service are not copied, since GitOps tools would prune objects that have theirs.
    """
    return {
        "app.kubernetes.io/name": service,
        COMPONENT_LABEL: part.value,
        "app.kubernetes.io/managed-by": "fastapi-operator",
        SERVICE_LABEL: service,
        WATCHED_LABEL: "true",
    }


def selector(service: str, part: Part) -> dict[str, str]:
    """Returns the labels that select the pods of a part; fixed, since selectors are immutable."""
    return {SERVICE_LABEL: service, COMPONENT_LABEL: part.value}


def label_selector(part: Part, service: str | None = None) -> str:
    """Returns the label selector of the pods of a part, of one service or of all."""
    of_service = SERVICE_LABEL if service is None else f"{SERVICE_LABEL}={service}"
    return f"{of_service},{COMPONENT_LABEL}={part.value}"


def content_hash(content: Mapping[str, object] | str) -> str:
    """Returns a hash of ten characters for names and annotations."""
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
