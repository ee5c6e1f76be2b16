"""Fields that the parts of a spec without a schema must not set.

The schema does not restrict ``podTemplate``, ``containers``, ``initContainers`` and ``volumes``.
Each guard names a field that the operator depends on, and the field of the spec to use instead.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.service import Spec
from fastapi_operator.parts import CHECKS, Part
from fastapi_operator.problems import Problem, Severity, Stage

APP_CONTAINER = Part.APP.record.container
SCRATCH_VOLUME = "tmp"
METRICS_VOLUME = "metrics"
HEARTBEAT_VOLUME = "heartbeat"
AUTHORITY_VOLUME = "database-ca"
RESERVED_VOLUMES = (SCRATCH_VOLUME, METRICS_VOLUME, HEARTBEAT_VOLUME, AUTHORITY_VOLUME)


@dataclass(frozen=True)
class Guard:
    """A field that only the operator sets.

    Attributes:
        path: Path within the guarded object, with dots between fields.
        reason: Why the operator needs the field.
        remedy: The field of the spec to use instead.
    """

    path: str
    reason: str
    remedy: str


_ISOLATION = "the restricted Pod Security Standard forbids it"
_POD = (
    Guard("metadata.finalizers", "a pod with one is deleted only after it is removed", "remove it"),
    Guard("spec.hostNetwork", _ISOLATION, "remove it"),
    Guard(
        "spec.nodeName",
        "a pod with it bypasses the scheduler",
        "set spec.availability.nodeSelector or affinity",
    ),
    Guard("spec.serviceAccount", "the account has its own section", "set spec.serviceAccount"),
    Guard("spec.hostPID", _ISOLATION, "remove it"),
    Guard("spec.hostIPC", _ISOLATION, "remove it"),
    Guard(
        "spec.terminationGracePeriodSeconds",
        "it is derived from the shutdown timeouts",
        "set spec.server.gracefulSeconds",
    ),
    Guard("spec.serviceAccountName", "the account has its own section", "set spec.serviceAccount"),
    Guard(
        "spec.automountServiceAccountToken",
        "the account has its own section",
        "set spec.serviceAccount.token",
    ),
    Guard("spec.restartPolicy", "a Deployment supports only Always", "remove it"),
    Guard("spec.securityContext.runAsNonRoot", _ISOLATION, "remove it"),
    Guard("spec.securityContext.seccompProfile", _ISOLATION, "remove it"),
)
_APP = (
    Guard("image", "migrations and releases are identified by spec.image", "set spec.image"),
    Guard("command", "the command contains the tuned values", "set spec.command"),
    Guard("args", "the command contains the tuned values", "set spec.args"),
    Guard("env", "the environment contains the tuned values", "set spec.env"),
    Guard("envFrom", "the environment contains the tuned values", "set spec.envFrom"),
    Guard("ports", "Services, probes and network policies use it", "set spec.port"),
    Guard("resources", "workers and pool sizes are derived from them", "set spec.resources"),
    Guard("lifecycle", "the operator's preStop hook delays the shutdown", "remove it"),
)
_ANY_CONTAINER = (
    Guard("securityContext.privileged", _ISOLATION, "remove it"),
    Guard("securityContext.allowPrivilegeEscalation", _ISOLATION, "remove it"),
    Guard("securityContext.capabilities", _ISOLATION, "remove it"),
    Guard("securityContext.runAsNonRoot", _ISOLATION, "remove it"),
    Guard("securityContext.seccompProfile", _ISOLATION, "remove it"),
)


def broken_guards(spec: Spec) -> Iterator[Problem]:
    """Yields a problem for each guarded field that a spec sets."""
    template, others = spec.pod_template or {}, frozenset(_process_containers(spec))
    yield from _violations(template, _POD, "spec.podTemplate")
    yield from _broken_metadata(template)
    for name in ("containers", "initContainers"):
        for path, container in _items(
            _at(template, f"spec.{name}"), f"spec.podTemplate.spec.{name}"
        ):
            guards = (*_APP, *_ANY_CONTAINER) if _is_app(name, container) else _ANY_CONTAINER
            yield from _violations(container, guards, path)
    for name, containers in (
        ("containers", spec.containers),
        ("initContainers", spec.init_containers),
    ):
        for path, container in _items(containers, f"spec.{name}"):
            yield from _violations(container, _ANY_CONTAINER, path)
            if container.get("name") == APP_CONTAINER:
                yield _problem(
                    f"{path}.name",
                    "app is the name of the app's container",
                    "choose another name",
                )
            elif container.get("restartPolicy") == "Always" and container.get("name") in others:
                yield _problem(
                    f"{path}.name",
                    "a container with this name is in a pod that also gets this sidecar",
                    "choose another name",
                )
    migrations = spec.postgres.migrations if spec.postgres else None
    for name, volumes in (
        ("spec.volumes", spec.volumes),
        ("spec.postgres.migrations.volumes", migrations and migrations.volumes),
    ):
        for path, volume in _items(volumes, name):
            if volume.get("name") in RESERVED_VOLUMES:
                yield _problem(
                    f"{path}.name",
                    "the operator has a volume with this name",
                    "choose another name",
                )


def _broken_metadata(template: Mapping[str, Any]) -> Iterator[Problem]:
    labels = _at(template, "metadata.labels") or {}
    for label in labels if isinstance(labels, Mapping) else ():
        if naming.is_reserved_label(label):
            yield _problem(
                f"spec.podTemplate.metadata.labels[{label}]",
                "selectors and watches depend on it",
                "choose another label",
            )
    annotations = _at(template, "metadata.annotations") or {}
    for annotation in annotations if isinstance(annotations, Mapping) else ():
        if annotation.startswith(naming.OWN_PREFIX):
            yield _problem(
                f"spec.podTemplate.metadata.annotations[{annotation}]",
                "the operator keeps its own state there",
                "choose another annotation",
            )


def _process_containers(spec: Spec) -> Iterator[str]:
    """Yields the names of the containers of migrations, background processes and schedules."""
    if spec.postgres is not None and spec.postgres.migrations is not None:
        yield from (Part.MIGRATION.record.container, CHECKS)
    yield from (entry.name for entry in spec.background or ())
    yield from (entry.name for entry in spec.schedules or ())


def _is_app(list_name: str, container: Mapping[str, Any]) -> bool:
    return list_name == "containers" and container.get("name") == APP_CONTAINER


def _items(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the mappings of a list with their paths, which contain the name if there is one."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                yield f"{path}[{item.get('name', index)}]", item


def _violations(value: Mapping[str, Any], guards: Sequence[Guard], path: str) -> Iterator[Problem]:
    for guard in guards:
        if _at(value, guard.path) is not None:
            yield _problem(f"{path}.{guard.path}", guard.reason, guard.remedy)


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _problem(path: str, reason: str, remedy: str) -> Problem:
    return Problem(
        severity=Severity.ERROR,
        stage=Stage.PLAN,
        path=path,
        message=f"must not be set: {reason}",
        remedy=remedy,
    )
