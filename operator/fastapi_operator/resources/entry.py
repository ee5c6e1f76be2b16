"""The Service that clients use; it has the service's own name."""

from typing import Any

from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs


def service(inputs: Inputs, part: Part) -> Desired:
    """Builds the entry Service.

    Args:
        inputs: The service.
        part: The part whose pods it selects: the proxy, or the app if there is no proxy.
    """
    ports = {"http": (80, "http")}
    if inputs.terminates_tls:
        ports["https"] = (443, "https")
    balancer = inputs.spec.exposure.load_balancer if inputs.spec.exposure else None
    if balancer is None:
        return objects.service(inputs, part, inputs.name, ports)
    # Otherwise a node that forwards a connection to another node hides the client's address.
    policy = balancer.external_traffic_policy or "Local"
    kind: dict[str, Any] = {"type": "LoadBalancer", "externalTrafficPolicy": policy}
    if balancer.class_name is not None:
        kind["loadBalancerClass"] = balancer.class_name
    return objects.service(
        inputs,
        Part.EXPOSURE,
        inputs.name,
        ports,
        selects=part,
        annotations=balancer.annotations,
        **kind,
    )
