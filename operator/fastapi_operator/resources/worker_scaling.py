"""The autoscalers of queue workers: a ScaledObject of KEDA for each, which counts waiting tasks."""

from collections.abc import Iterator
from typing import Any

from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired, Gate
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.process import process_name
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import BackgroundPlan

# KEDA's own label, in its chart and in its manifests.
KEDA_LABELS = {"app": "keda-operator"}


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the ScaledObject of each worker with ``scaling``."""
    return tuple(_scaled_objects(inputs))


def reads_queue(inputs: Inputs) -> bool:
    """Whether KEDA connects to the queue."""
    return any(entry.scaling is not None for entry in inputs.spec.background or ())


def _scaled_objects(inputs: Inputs) -> Iterator[Desired]:
    for entry, plan in zip(inputs.spec.background or (), inputs.plan.background, strict=True):
        if entry.scaling is not None:
            name = process_name(inputs, Part.BACKGROUND, entry.name)
            body = _scaled_object(inputs, name, entry.scaling.list_name, plan)
            yield Desired(Part.AUTOSCALING, body, gate=Gate.MIGRATED)


def _scaled_object(
    inputs: Inputs, name: str, list_name: str, plan: BackgroundPlan
) -> dict[str, Any]:
    most, tasks, window = plan.max_replicas, plan.tasks_per_replica, plan.scale_down_seconds
    assert most is not None and tasks is not None and window is not None, "the entry is autoscaled"
    seconds = window.value
    server = f"{inputs.name_of(Part.QUEUE)}.{inputs.namespace}.svc"
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": objects.metadata(inputs, Part.AUTOSCALING, name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicaCount": plan.replicas.value,
            "maxReplicaCount": most.value,
            "pollingInterval": figures.QUEUE_POLL_SECONDS,
            # To zero; between other numbers of pods the window decides.
            "cooldownPeriod": seconds,
            "triggers": [
                {
                    "type": "redis",
                    "metricType": "AverageValue",
                    "metadata": {
                        # KEDA runs in another namespace.
                        "address": f"{server}:{Part.QUEUE.port}",
                        # From the environment of the worker, so no credential is in this object.
                        "usernameFromEnv": "QUEUE_USERNAME",
                        "passwordFromEnv": "QUEUE_PASSWORD",
                        "listName": list_name,
                        "listLength": str(tasks.value),
                    },
                }
            ],
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {"scaleDown": {"stabilizationWindowSeconds": seconds}}
                }
            },
        },
    }
