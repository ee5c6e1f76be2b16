"""``spec.podTemplate``: a strategic merge into the app's pod template, for what has no field.

What it may not touch is refused before, by ``api/guards.py``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

# Lists of a pod whose items Kubernetes tells apart by a field; every other list is replaced.
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
    """The base with the patch merged in, as the strategic merge of Kubernetes does it.

    It adds and changes; it cannot remove, so that no directive gets round a guard.
    """
    result = dict(base)
    for name, wanted in patch.items():
        present = base.get(name)
        if isinstance(wanted, Mapping) and isinstance(present, Mapping):
            result[name] = merged(present, wanted)
        elif name in _MERGE_KEYS and isinstance(present, list) and isinstance(wanted, list):
            result[name] = _merged_list(present, wanted, _MERGE_KEYS[name])
        else:
            result[name] = wanted
    return result


def _merged_list(
    base: Sequence[Mapping[str, Any]], patch: Sequence[Mapping[str, Any]], key: str
) -> list[dict[str, Any]]:
    """Items of the base in their order, changed where the patch has the same key, then new ones."""
    result = {item.get(key): dict(item) for item in base}
    for item in patch:
        result[item.get(key)] = merged(result.get(item.get(key), {}), item)
    return list(result.values())
