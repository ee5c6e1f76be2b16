"""The companions of the app's image: its volumes and native sidecars, in each of its pods.

A process of the image needs the files that the app needs, and the proxies through which the app
reaches a database. A Job also needs them, but it ends only if its sidecars are native: the kubelet
ends a native sidecar after the containers, and waits forever for any other container.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi_operator.api.service import Spec
from fastapi_operator.resources import pod

Body = Mapping[str, Any]


def native_sidecars(spec: Spec) -> list[dict[str, Any]]:
    """Returns the init containers that run beside the containers until these end."""
    return [
        pod.admitted(container)
        for container in spec.init_containers or ()
        if container.get("restartPolicy") == "Always"
    ]


def mounts(spec: Spec, own: Sequence[Body] = ()) -> list[dict[str, Any]]:
    """Returns the mounts of a container of the image.

    Args:
        spec: The spec.
        own: Mounts of this process alone, which replace mounts with the same path.
    """
    by_path = {mount.get("mountPath"): dict(mount) for mount in (*(spec.volume_mounts or ()), *own)}
    return list(by_path.values())


def volumes(
    spec: Spec, containers: Sequence[Body], own: Sequence[Body] = ()
) -> list[dict[str, Any]]:
    """Returns the volumes that the containers of a pod mount.

    Args:
        spec: The spec.
        containers: The containers and sidecars of the pod.
        own: Volumes of this process alone, which replace volumes with the same name.
    """
    mounted = {
        mount.get("name")
        for container in containers
        for mount in container.get("volumeMounts") or ()
        if isinstance(mount, Mapping)
    }
    by_name = {volume.get("name"): dict(volume) for volume in (*(spec.volumes or ()), *own)}
    return [volume for name, volume in by_name.items() if name in mounted]
