"""The placement of pods by ``spec.availability`` and ``spec.parts``: spread, priority, nodes."""

from typing import Any

from fastapi_operator.api.workload import Availability
from fastapi_operator.parts import Part
from fastapi_operator.platforms import NODE_SELECTOR
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
    own = inputs.settings_of(part)
    nodes = availability.node_selector if own.node_selector is None else own.node_selector
    fields["nodeSelector"] = {**(nodes or {}), **NODE_SELECTOR}
    tolerations = availability.tolerations if own.tolerations is None else own.tolerations
    if tolerations:
        fields["tolerations"] = [dict(toleration) for toleration in tolerations]
    if own.runtime_class_name is not None:
        fields["runtimeClassName"] = own.runtime_class_name
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
