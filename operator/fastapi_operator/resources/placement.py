"""Where pods run, after ``spec.availability``: spread, priority, nodes."""

from typing import Any

from fastapi_operator.api.workload import Availability
from fastapi_operator.parts import Part
from fastapi_operator.resources.inputs import Inputs

_HOST = "kubernetes.io/hostname"
_ZONE = "topology.kubernetes.io/zone"


def placement(inputs: Inputs, part: Part, *, spread: bool) -> dict[str, Any]:
    """The fields of a pod that decide where it runs.

    Args:
        inputs: The service.
        part: The part that the pod belongs to.
        spread: Whether the part may have several pods, which then keep apart.
    """
    wanted = inputs.spec.availability or Availability()
    fields: dict[str, Any] = {}
    if spread and wanted.spread != "None":
        fields["topologySpreadConstraints"] = [
            _apart(inputs, part, _HOST, required=wanted.spread == "Required"),
            # Never required: a node without the label of a zone could then take no pod at all.
            _apart(inputs, part, _ZONE, required=False),
        ]
    if wanted.priority_class_name is not None:
        fields["priorityClassName"] = wanted.priority_class_name
    if wanted.node_selector:
        fields["nodeSelector"] = dict(wanted.node_selector)
    if wanted.tolerations:
        fields["tolerations"] = [dict(toleration) for toleration in wanted.tolerations]
    return fields


def _apart(inputs: Inputs, part: Part, topology: str, *, required: bool) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "DoNotSchedule" if required else "ScheduleAnyway",
        "labelSelector": {"matchLabels": inputs.selector(part)},
        # Each version is spread by itself: else the old pods of a rollout decide where the new
        # ones go, and what is left is lopsided.
        "matchLabelKeys": ["pod-template-hash"],
        # A cordoned node takes no pod, so it must not count as an empty one.
        "nodeTaintsPolicy": "Honor",
    }
