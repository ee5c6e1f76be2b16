"""Fields with which a person or a tool stops an object that is otherwise as desired.

Fields of other managers are not compared, so such a field would hide that an object does not work:
a Service of the type ExternalName has no pods, and a paused Deployment never rolls out. The
operator therefore owns these fields, and an edit of them is drift. They are no part of the digest
of a body, so an upgrade of the operator neither holds nor delays anything for them.
"""

from collections.abc import Mapping
from typing import Any

from fastapi_operator.cluster.kinds import CRON_JOB, DEPLOYMENT, STATEFUL_SET

# The values are the defaults of the API server; a builder may set others.
_SWITCHES: Mapping[str, Mapping[str, Any]] = {
    "Service": {
        "type": "ClusterIP",
        "internalTrafficPolicy": "Cluster",
        "publishNotReadyAddresses": False,
    },
    DEPLOYMENT.kind: {"paused": False, "minReadySeconds": 0},
    STATEFUL_SET.kind: {
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "minReadySeconds": 0,
    },
    CRON_JOB.kind: {"suspend": False},
    "HorizontalPodAutoscaler": {
        "behavior": {"scaleUp": {"selectPolicy": "Max"}, "scaleDown": {"selectPolicy": "Max"}}
    },
}


def with_switches(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a body that has a value for each of these fields."""
    switches = _SWITCHES.get(body["kind"])
    spec = body.get("spec")
    return {**body, "spec": _completed(spec, switches)} if spec and switches else dict(body)


def _completed(spec: Mapping[str, Any], switches: Mapping[str, Any]) -> dict[str, Any]:
    missing = {name: value for name, value in switches.items() if name not in spec}
    nested = {
        name: _completed(spec[name], value)
        for name, value in switches.items()
        if name in spec and isinstance(value, Mapping)
    }
    return {**spec, **missing, **nested}
