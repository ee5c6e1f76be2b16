"""The autoscaler of the app: a HorizontalPodAutoscaler, or a ScaledObject of KEDA."""

from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.guards import APP_CONTAINER
from fastapi_operator.api.scaling import Scaling
from fastapi_operator.observability.metrics import IN_FLIGHT, metric
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired, Gate, ObjectKey
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning.decision import Decision

_KUBERNETES = ("autoscaling", "HorizontalPodAutoscaler")
_KEDA = ("keda.sh", "ScaledObject")
_DURATION = metric("http_server_request_duration_seconds").name


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the autoscaler; none for a fixed number of pods."""
    if not inputs.plan.scaling.autoscaled.value:
        return ()
    scaling = inputs.spec.scaling or Scaling()
    by_keda = scaling.engine == "Keda"
    make, other = (_scaled_object, _KUBERNETES) if by_keda else (_autoscaler, _KEDA)
    body = make(inputs)
    # Two autoscalers would each revert the changes of the other.
    after = ObjectKey(*other, inputs.namespace, inputs.name)
    return (Desired(Part.AUTOSCALING, body, gate=Gate.MIGRATED, blocked_by=after),)


def _autoscaler(inputs: Inputs) -> dict[str, Any]:
    """Scales on CPU and, if requested, on requests in flight."""
    scaling = inputs.plan.scaling
    metrics: list[dict[str, Any]] = [
        {
            # Only the app's container: the other containers have a load of their own.
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
                    "metric": {"name": IN_FLIGHT},
                    "target": {
                        "type": "AverageValue",
                        "averageValue": str(scaling.target_in_flight.value),
                    },
                },
            }
        )
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": objects.metadata(inputs, Part.AUTOSCALING, inputs.name),
        "spec": {
            "scaleTargetRef": _app(inputs),
            "minReplicas": scaling.min_replicas.value,
            "maxReplicas": scaling.max_replicas.value,
            "metrics": metrics,
            "behavior": _behavior(inputs),
        },
    }


def _scaled_object(inputs: Inputs) -> dict[str, Any]:
    """Scales on CPU and on requests in flight; without the latter KEDA scales on CPU alone.

    A fallback in KEDA would override CPU if Prometheus is not available (kedacore/keda#6659).
    """
    scaling, section = inputs.plan.scaling, inputs.spec.scaling
    assert section is not None and section.keda is not None, "a rule of the resource requires it"
    selector = f'namespace="{inputs.namespace}", {naming.SERVICE_SERIES_LABEL}="{inputs.name}"'
    requests: dict[str, Any] = {
        "type": "prometheus",
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": section.keda.prometheus_address,
            "query": _requests_under_way(selector),
            "threshold": str(scaling.target_in_flight.value),
        },
    }
    if section.keda.authentication_name is not None:
        requests["authenticationRef"] = {"name": section.keda.authentication_name}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": objects.metadata(inputs, Part.AUTOSCALING, inputs.name),
        "spec": {
            "scaleTargetRef": _app(inputs),
            "minReplicaCount": scaling.min_replicas.value,
            "maxReplicaCount": scaling.max_replicas.value,
            "triggers": [
                {
                    "type": "cpu",
                    "metricType": "Utilization",
                    "metadata": {
                        "containerName": APP_CONTAINER,
                        "value": str(scaling.target_cpu_percent.value),
                    },
                },
                requests,
            ],
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(inputs)}},
        },
    }


def _requests_under_way(selector: str) -> str:
    """Requests in flight, and those that would be in flight if none were rejected.

    That is their rate times the duration of a request (Little's law).
    """
    rejected = " + ".join(
        f"(sum (rate({name}{{{labels}}}[2m])) or vector(0))"
        for name, labels in (
            ("fastapi_worker_shed_requests_total", selector),
            # A client that exceeds its rate is no reason for more pods.
            ("fastapi_proxy_shed_total", f'{selector}, reason="pods"'),
        )
    )
    served = f'{selector}, http_response_status_code!="503"'
    total, count = (f"sum (rate({_DURATION}_{part}{{{served}}}[2m]))" for part in ("sum", "count"))
    seconds = f"({total} / ({count} > 0) or vector(0))"
    return f"sum ({IN_FLIGHT}{{{selector}}}) + ({rejected}) * {seconds}"


def _app(inputs: Inputs) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": inputs.name}


def _behavior(inputs: Inputs) -> dict[str, Any]:
    """How fast the number of pods can change."""
    scaling = inputs.plan.scaling
    # A canary that is aborted gives its share of the requests back at once.
    kept = {"selectPolicy": "Disabled"} if inputs.stage is not None else {}
    return {
        "scaleUp": {
            "policies": [
                _step("Percent", scaling.scale_up_percent, scaling.scale_up_period_seconds),
                _step("Pods", scaling.scale_up_pods, scaling.scale_up_period_seconds),
            ]
        },
        "scaleDown": {
            "stabilizationWindowSeconds": scaling.scale_down_seconds.value,
            "policies": [
                _step("Percent", scaling.scale_down_percent, scaling.scale_down_period_seconds)
            ],
            **kept,
        },
    }


def _step(kind: str, amount: Decision[int], period_seconds: Decision[int]) -> dict[str, Any]:
    """A limit of pods that are added or removed within a period."""
    return {"type": kind, "value": amount.value, "periodSeconds": period_seconds.value}
