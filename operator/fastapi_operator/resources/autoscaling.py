"""The HorizontalPodAutoscaler of the app."""

from typing import Any

from fastapi_operator.api.guards import APP_CONTAINER
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired, Gate
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning.decision import Decision

# The gauge of the runtime, as a custom metrics API serves it for each pod.
_IN_FLIGHT = "http_server_active_requests"


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """The autoscaler, on CPU and perhaps requests under way; none for a fixed number of pods."""
    scaling = inputs.plan.scaling
    if not scaling.autoscaled.value:
        return ()
    metrics: list[dict[str, Any]] = [
        {
            # Of the app's container alone: what stands beside it has load of its own.
            "type": "ContainerResource",
            "containerResource": {
                "name": "cpu",
                "container": APP_CONTAINER,
                "target": {
                    "type": "Utilization",
                    "averageUtilization": scaling.target_cpu_percent.value,
                },
            },
        }
    ]
    if scaling.target_in_flight.value:
        metrics.append(
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": _IN_FLIGHT},
                    "target": {
                        "type": "AverageValue",
                        "averageValue": str(scaling.target_in_flight.value),
                    },
                },
            }
        )
    body = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": objects.metadata(inputs, Part.AUTOSCALING, inputs.name),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": inputs.name,
            },
            "minReplicas": scaling.min_replicas.value,
            "maxReplicas": scaling.max_replicas.value,
            "metrics": metrics,
            "behavior": {
                "scaleUp": {
                    "policies": [
                        _step("Percent", scaling.scale_up_percent, scaling.scale_up_period_seconds),
                        _step("Pods", scaling.scale_up_pods, scaling.scale_up_period_seconds),
                    ]
                },
                "scaleDown": {
                    "stabilizationWindowSeconds": scaling.scale_down_seconds.value,
                    "policies": [
                        _step(
                            "Percent",
                            scaling.scale_down_percent,
                            scaling.scale_down_period_seconds,
                        )
                    ],
                },
            },
        },
    }
    return (Desired(Part.AUTOSCALING, body, gate=Gate.MIGRATED),)


def _step(kind: str, amount: Decision[int], period_seconds: Decision[int]) -> dict[str, Any]:
    """How many pods may come or go within a period."""
    return {"type": kind, "value": amount.value, "periodSeconds": period_seconds.value}
