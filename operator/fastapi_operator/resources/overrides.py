"""``spec.podTemplate``: a strategic merge into the app's pod template.

Fields that it must not change are rejected before, by ``api/guards.py``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

# Lists of a pod whose items Kubernetes identifies by a field; every other list is replaced.
_MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "schedulingGates": "name",
}


def merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the base with the patch merged in, as Kubernetes' strategic merge does.

    A patch adds and changes fields. It cannot remove any, so that it cannot evade a guard.
    """
    result = dict(base)
    for name, value in patch.items():
        present = base.get(name)
        if isinstance(value, Mapping) and isinstance(present, Mapping):
            result[name] = merged(present, value)
        elif name in _MERGE_KEYS and isinstance(present, list) and isinstance(value, list):
            result[name] = _merged_list(present, value, _MERGE_KEYS[name])
        else:
            result[name] = value
    return result


def _merged_list(
    base: Sequence[Mapping[str, Any]], patch: Sequence[Mapping[str, Any]], key: str
) -> list[dict[str, Any]]:
    """Items of the base, changed if the patch has the same key, then the patch's other items."""
    result = {item.get(key): dict(item) for item in base}
    for item in patch:
        result[item.get(key)] = merged(result.get(item.get(key), {}), item)
    return list(result.values())
