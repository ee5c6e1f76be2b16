"""Objects that several parts have: metadata, Services, ConfigMaps, disruption budgets."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator import naming, quantity
from fastapi_operator.parts import Part
from fastapi_operator.resources.desired import Desired, Gate, Generated, Write
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.decision import Decision, Source


def metadata(
    inputs: Inputs, part: Part, name: str, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Returns the metadata of an object, without owner reference and last-applied digest."""
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
    selector: Mapping[str, str] | None = None,
    **spec: Any,
) -> Desired:
    """Builds a Service in front of a part's pods.

    Args:
        inputs: The service.
        part: The part that is ready only if this object is.
        name: Its name, which is also its host name.
        ports: By name: the port of the Service, and the named port of the container. Default: the
            port that the part's clients use.
        selects: The part whose pods it selects. Default: ``part``.
        annotations: The user's annotations; those of ``spec.parts`` take precedence.
        selector: Labels of the pods that it selects. Default: those of the part.
        spec: Further fields of the Service.
    """
    selected = selects or part
    annotations = {
        **(annotations or {}),
        **(inputs.settings_of(selected).service_annotations or {}),
    }
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
                "selector": dict(selector or inputs.selector(selected)),
                "ports": [
                    {"name": port_name, "port": port, "targetPort": target, "protocol": "TCP"}
                    for port_name, (port, target) in ports.items()
                ],
            },
        },
    )


def deployment(
    inputs: Inputs,
    part: Part,
    name: str,
    template: Mapping[str, Any],
    *,
    replicas: int,
    max_surge: int | str = 1,
    max_unavailable: int | str = 0,
    deadline_seconds: int = figures.PROGRESS_DEADLINE_SECONDS,
    gate: Gate = Gate.NONE,
    hands_over_replicas: bool = False,
) -> Desired:
    """Builds the Deployment of a part.

    Args:
        inputs: The service.
        part: The part.
        name: Its name.
        template: Its pods.
        replicas: Their number.
        max_surge: The most additional pods during a rollout, a number or a percentage.
        max_unavailable: The most missing pods during a rollout, a number or a percentage.
        deadline_seconds: The time without progress after which a rollout has failed.
        gate: What it waits for.
        hands_over_replicas: Whether an autoscaler owns the number of pods.
    """
    return Desired(
        part,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(inputs, part, name),
            "spec": {
                "replicas": replicas,
                "revisionHistoryLimit": figures.REVISIONS_KEPT,
                "minReadySeconds": figures.MIN_READY_SECONDS,
                "progressDeadlineSeconds": deadline_seconds,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": max_surge, "maxUnavailable": max_unavailable},
                },
                "selector": {"matchLabels": naming.selector(inputs.name, part)},
                "template": dict(template),
            },
        },
        gate=gate,
        hands_over_replicas=hands_over_replicas,
    )


def config_map(
    inputs: Inputs, part: Part, name: str, data: Mapping[str, str], *, gate: Gate = Gate.NONE
) -> Desired:
    """Builds a ConfigMap with a fixed name: its files are reloaded without a restart."""
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
    """Builds a ConfigMap named after its content, so that a change restarts the pods."""
    return config_map(inputs, part, f"{name}-{naming.content_hash(data)}", data)


def generated_secret(
    inputs: Inputs, part: Part, name: str, generate: Generated, *, retain: bool = False
) -> Desired:
    """Builds a Secret whose values are generated once, when it is written."""
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
    size: Decision[int],
    storage_class: str | None,
    retain: bool = False,
) -> Desired:
    """Builds a claim for a part's data, created once; only its size can change, upwards."""
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
                "resources": {"requests": {"storage": quantity.format_bytes(size.value)}},
            },
        },
        write=Write.CREATE_ONCE,
        retain=retain,
        is_default=size.source is not Source.SPEC,
    )


def disruption_budget(
    inputs: Inputs, part: Part, name: str, *, max_unavailable: int | str = 1
) -> Desired:
    """Builds a PodDisruptionBudget: a drain can evict some pods at a time, and unready ones."""
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
