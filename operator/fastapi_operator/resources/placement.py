"""The placement of pods by ``spec.availability``: spread, priority, nodes."""

from typing import Any

from fastapi_operator.api.workload import Availability
from fastapi_operator.parts import Part
from fastapi_operator.resources.inputs import Inputs

_HOST = "kubernetes.io/hostname"
_ZONE = "topology.kubernetes.io/zone"


def placement(inputs: Inputs, part: Part, *, spread: bool) -> dict[str, Any]:
    """Returns the fields of a pod that select its node.

    Args:
        inputs: The service.
        part: The part that the pod belongs to.
        spread: Whether the part can have several pods, which are then spread.
    """
    availability = inputs.spec.availability or Availability()
    fields: dict[str, Any] = {}
    if spread and availability.spread != "None":
        fields["topologySpreadConstraints"] = [
            _apart(inputs, part, _HOST, required=availability.spread == "Required"),
            # Never required: otherwise a node without a zone label could run no pod.
            _apart(inputs, part, _ZONE, required=False),
        ]
    if availability.priority_class_name is not None:
        fields["priorityClassName"] = availability.priority_class_name
    if availability.node_selector:
        fields["nodeSelector"] = dict(availability.node_selector)
    if availability.tolerations:
        fields["tolerations"] = [dict(toleration) for toleration in availability.tolerations]
    return fields


def _apart(inputs: Inputs, part: Part, topology: str, *, required: bool) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "DoNotSchedule" if required else "ScheduleAnyway",
        "labelSelector": {"matchLabels": inputs.selector(part)},
        # Each version is spread separately. Otherwise the old pods of a rollout decide the nodes of
        # the new ones, and the result is uneven.
        "matchLabelKeys": ["pod-template-hash"],
        # A cordoned node accepts no pod, so it must not count as an empty node.
        "nodeTaintsPolicy": "Honor",
    }
