"""Pod templates and containers that meet the restricted Pod Security profile."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi_operator import quantity
from fastapi_operator.api.guards import SCRATCH_VOLUME
from fastapi_operator.parts import RELOADER, Part
from fastapi_operator.platforms import MESH_ANNOTATIONS
from fastapi_operator.resources.amounts import with_amounts
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.placement import placement
from fastapi_operator.tuning import figures

# Readable by every user of the pod; only this pod mounts the volume.
_FILE_MODE = 0o444

# The directory of sockets and process ids, which a server shares with its reloader.
RUN = "run"
_RUN_BYTES = 2**20


def pod_template(
    inputs: Inputs,
    part: Part,
    *,
    containers: Sequence[Mapping[str, Any]],
    sidecars: Sequence[Mapping[str, Any]] = (),
    steps: Sequence[Mapping[str, Any]] = (),
    volumes: Sequence[Mapping[str, Any]] = (),
    grace_seconds: int,
    spread: bool = False,
    **spec: Any,
) -> dict[str, Any]:
    """Builds a pod template that meets the restricted profile.

    Args:
        inputs: The service.
        part: The part that the pods belong to.
        containers: Containers, from ``container``.
        sidecars: Native sidecars: they start before the containers and end after them.
        steps: Containers that complete before the others start, after the sidecars started.
        volumes: Volumes in addition to the scratch space, which every pod has.
        grace_seconds: Seconds between the request to end and the kill.
        spread: Whether the part can have several pods, which are then spread.
        spec: Further fields of the pod.
    """
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _pod_security(inputs.settings.run_as_user),
        "terminationGracePeriodSeconds": grace_seconds,
    }
    pod |= placement(inputs, part, spread=spread)
    pod |= pull_secrets(inputs)
    pod |= spec
    before = [*(dict(sidecar) | {"restartPolicy": "Always"} for sidecar in sidecars), *steps]
    main = containers[0]["name"]
    if before:
        pod["initContainers"] = [with_amounts(inputs, part, item) for item in before]
    pod["containers"] = [
        with_amounts(inputs, part, item, is_main=item["name"] == main) for item in containers
    ]
    pod["volumes"] = [scratch_volume(SCRATCH_VOLUME, figures.SCRATCH_BYTES), *volumes]
    return {"metadata": _pod_metadata(inputs, part), "spec": pod}


def pull_secrets(inputs: Inputs) -> dict[str, Any]:
    """Returns the pull secrets of a pod: those of the operator's settings, then the service's."""
    own = (*inputs.settings.image_pull_secrets, *(inputs.spec.image_pull_secrets or ()))
    names = dict.fromkeys(secret.name for secret in own)
    return {"imagePullSecrets": [{"name": name} for name in names]} if names else {}


def _pod_metadata(inputs: Inputs, part: Part) -> dict[str, Any]:
    mesh = {} if part.record.meshed else MESH_ANNOTATIONS
    annotations = {**mesh, **(inputs.settings_of(part).pod_annotations or {})}
    labels = inputs.pod_labels(part)
    return {"labels": labels, **({"annotations": annotations} if annotations else {})}


def container(
    name: str,
    *,
    image: str,
    pull_policy: str,
    command: Sequence[str],
    resources: Mapping[str, Any],
    mounts: Mapping[str, str] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Builds a container that meets the restricted profile, with a read-only root and a /tmp.

    Args:
        name: Its name within the pod.
        image: The image.
        pull_policy: When the kubelet pulls it.
        command: The whole command; if it is empty, the image's own.
        resources: From ``resources``.
        mounts: Mount paths by volume; ``/tmp`` is always mounted.
        fields: Further fields of the container.
    """
    paths = {SCRATCH_VOLUME: "/tmp", **(mounts or {})}  # noqa: S108 (the pod's own emptyDir)
    extra_mounts = fields.pop("extra_mounts", ())
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": pull_policy,
        **({"command": list(command)} if command else {}),
        **fields,
        "resources": dict(resources),
        "volumeMounts": [
            *({"name": volume, "mountPath": path} for volume, path in paths.items()),
            *extra_mounts,
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        # The last log lines of a failed container are then in its status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def admitted(container: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a user's container with the fields that the restricted profile requires."""
    return {
        **container,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            **(container.get("securityContext") or {}),
        },
    }


def resources(
    *, cpu_request: int, memory_request: int, memory_limit: int, cpu_limit: int = 0
) -> dict[str, Any]:
    """Returns requests and limits, from millicores and bytes; a CPU limit of 0 is none."""
    limits = {"memory": quantity.format_bytes(memory_limit)}
    if cpu_limit:
        limits = {"cpu": quantity.format_cpu(cpu_limit), **limits}
    return {
        "requests": {
            "cpu": quantity.format_cpu(cpu_request),
            "memory": quantity.format_bytes(memory_request),
        },
        "limits": limits,
    }


def reloader(
    *, image: str, pull_policy: str, script: str, mounts: Mapping[str, str], **fields: Any
) -> dict[str, Any]:
    """Builds the sidecar that tests a changed configuration and makes its server read it."""
    return container(
        RELOADER,
        image=image,
        pull_policy=pull_policy,
        command=("sh", "-c", script),
        resources=resources(
            cpu_request=figures.RELOADER_CPU_MILLICORES,
            memory_request=figures.RELOADER_MEMORY_BYTES,
            memory_limit=figures.RELOADER_MEMORY_BYTES,
        ),
        mounts=mounts,
        **fields,
    )


def probe(
    handler: Mapping[str, Any],
    *,
    period: int,
    attempts: int,
    timeout: int = figures.PROBE_TIMEOUT_SECONDS,
) -> dict[str, Any]:
    """Returns a probe that fails after ``attempts`` checks, ``period`` seconds apart."""
    return {
        **handler,
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": attempts,
    }


def probes(
    *,
    startup: Mapping[str, Any],
    readiness: Mapping[str, Any],
    liveness: Mapping[str, Any],
    start_attempts: int = figures.START_ATTEMPTS,
    live_attempts: int = figures.LIVE_ATTEMPTS,
) -> dict[str, Any]:
    """Returns the three probes of a container, each from its handler."""
    return {
        "startupProbe": probe(
            startup, period=figures.START_PERIOD_SECONDS, attempts=start_attempts
        ),
        "readinessProbe": probe(
            readiness, period=figures.READY_PERIOD_SECONDS, attempts=figures.READY_ATTEMPTS
        ),
        "livenessProbe": probe(
            liveness, period=figures.LIVE_PERIOD_SECONDS, attempts=live_attempts
        ),
    }


def container_ports(ports: Mapping[str, int]) -> list[dict[str, Any]]:
    """Returns the ``ports`` of a container, from their numbers by name."""
    return [
        {"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()
    ]


def sleep_before_stop(seconds: int) -> dict[str, Any]:
    """Returns a delay in which load balancers remove the pod; no image needs a ``sleep``."""
    return {"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}}


def scratch_volume(name: str, size: int, *, memory: bool = False) -> dict[str, Any]:
    """Returns an empty directory, on disk or in memory, with the lifetime of the pod."""
    directory: dict[str, Any] = {"sizeLimit": quantity.format_bytes(size)}
    if memory:
        directory = {"medium": "Memory", **directory}
    return {"name": name, "emptyDir": directory}


def run_volume(*, memory: bool = False) -> dict[str, Any]:
    """Returns the directory of sockets and process ids; in memory if it holds a password."""
    return scratch_volume(RUN, _RUN_BYTES, memory=memory)


def files_volume(
    name: str,
    *,
    config_maps: Sequence[str],
    secret: str | None = None,
    items: Mapping[str, str] | None = None,
    sources: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Returns one directory with the files of ConfigMaps and selected keys of Secrets.

    Args:
        name: The volume's name.
        config_maps: ConfigMaps whose keys are all files.
        secret: A Secret with more files.
        items: The file of each key of the Secret.
        sources: More projected sources, in the form of a pod.
    """
    found: list[dict[str, Any]] = [{"configMap": {"name": source}} for source in config_maps]
    if secret is not None:
        files = [{"key": key, "path": path} for key, path in (items or {}).items()]
        found.append({"secret": {"name": secret, "items": files}})
    found += [dict(source) for source in sources]
    return {"name": name, "projected": {"defaultMode": _FILE_MODE, "sources": found}}


def _pod_security(user: int | None) -> dict[str, Any]:
    context: dict[str, Any] = {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if user is not None:
        context |= {
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            # Always would make a database's directory readable by its group; then the database
            # does not start.
            "fsGroupChangePolicy": "OnRootMismatch",
        }
    return context
