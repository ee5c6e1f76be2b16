"""The HorizontalPodAutoscaler of the app."""

from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired, Gate
from fastapi_operator.resources.inputs import Inputs


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """The autoscaler on CPU; none where the number of pods is fixed."""
    scaling = inputs.plan.scaling
    if not scaling.autoscaled.value:
        return ()
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
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {
                            "type": "Utilization",
                            "averageUtilization": scaling.target_cpu_percent.value,
                        },
                    },
                }
            ],
            "behavior": {
                "scaleDown": {"stabilizationWindowSeconds": scaling.scale_down_seconds.value}
            },
        },
    }
    return (Desired(Part.AUTOSCALING, body, gate=Gate.MIGRATED),)
