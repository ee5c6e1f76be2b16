"""The ServiceMonitor, where the cluster runs the Prometheus Operator."""

from fastapi_operator import naming
from fastapi_operator.api.observability import Metrics, Observability
from fastapi_operator.facts import SERVICE_MONITOR
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """The monitor of the app's metrics port; none where there is no such API or port."""
    if inputs.metrics_port is None or not inputs.facts.offers(SERVICE_MONITOR):
        return ()
    metrics = (inputs.spec.observability or Observability()).metrics or Metrics()
    metadata = objects.metadata(inputs, Part.OBSERVABILITY, inputs.name)
    # Ours last: a user's label must not take an object out of the operator's sight.
    metadata["labels"] = {**(metrics.additional_labels or {}), **metadata["labels"]}
    body = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": naming.selector(inputs.name, Part.APP)},
            # The dashboards choose a service and a part by these labels of its pods.
            "podTargetLabels": [naming.SERVICE_LABEL, "app.kubernetes.io/component"],
            "endpoints": [{"port": "metrics"}],
        },
    }
    return (Desired(Part.OBSERVABILITY, body),)
