"""The small objects that several parts have: their metadata, Services, ConfigMaps, budgets."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator import naming, quantity
from fastapi_operator.parts import Part
from fastapi_operator.resources.desired import Desired, Gate, Generated, Write
from fastapi_operator.resources.inputs import Inputs


def metadata(
    inputs: Inputs, part: Part, name: str, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The metadata of a child; owner references and our own annotations are the reconciler's."""
    return {
        "name": name,
        "namespace": inputs.namespace,
        "labels": inputs.labels(part),
        **({"annotations": dict(annotations)} if annotations else {}),
    }


def service(
    inputs: Inputs,
    part: Part,
    name: str,
    ports: Mapping[str, tuple[int, str]] | None = None,
    *,
    selects: Part | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Desired:
    """A Service in front of a part's pods.

    Args:
        inputs: The service.
        part: The part whose readiness it decides.
        name: Its name, which is their host name.
        ports: By name: the port of the Service, and the named port of the container. Default: the
            port that the part's clients use.
        selects: Whose pods it selects. Default: those of the part.
        annotations: The user's own.
        spec: Further fields of the Service.
    """
    if ports is None:
        ports = {part.record.port_name: (part.port, part.record.port_name)}
    return Desired(
        part,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(inputs, part, name, annotations),
            "spec": {
                **spec,
                "selector": inputs.selector(selects or part),
                "ports": [
                    {"name": port_name, "port": port, "targetPort": target, "protocol": "TCP"}
                    for port_name, (port, target) in ports.items()
                ],
            },
        },
    )


def config_map(
    inputs: Inputs, part: Part, name: str, data: Mapping[str, str], *, gate: Gate = Gate.NONE
) -> Desired:
    """A ConfigMap with a fixed name: its files are reloaded while the pods go on."""
    return Desired(
        part,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(inputs, part, name),
            "data": dict(data),
        },
        gate=gate,
    )


def hashed_config_map(inputs: Inputs, part: Part, name: str, data: Mapping[str, str]) -> Desired:
    """A ConfigMap named after its content: a change is a new name, and so restarts the pods."""
    return config_map(inputs, part, f"{name}-{naming.content_hash(data)}", data)


def generated_secret(
    inputs: Inputs, part: Part, name: str, generate: Generated, *, retain: bool = False
) -> Desired:
    """A Secret whose values are made when it is written, once."""
    return Desired(
        part,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata(inputs, part, name),
            "type": "Opaque",
        },
        write=Write.CREATE_ONCE,
        retain=retain,
        generate=generate,
    )


def volume_claim(
    inputs: Inputs,
    part: Part,
    name: str,
    *,
    size_bytes: int,
    storage_class: str | None,
    retain: bool = False,
) -> Desired:
    """A claim for a part's data, made once; it may grow, nothing else of it changes."""
    storage_class = storage_class or inputs.settings.storage_class
    return Desired(
        part,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata(inputs, part, name),
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                **({"storageClassName": storage_class} if storage_class else {}),
                "resources": {"requests": {"storage": quantity.format_bytes(size_bytes)}},
            },
        },
        write=Write.CREATE_ONCE,
        retain=retain,
    )


def disruption_budget(
    inputs: Inputs, part: Part, name: str, *, max_unavailable: int | str = 1
) -> Desired:
    """A PodDisruptionBudget that lets a drain take some pods at a time, and any broken one."""
    return Desired(
        part,
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(inputs, part, name),
            "spec": {
                "maxUnavailable": max_unavailable,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": inputs.selector(part)},
            },
        },
    )
