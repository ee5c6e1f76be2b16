"""The health that Argo CD and Flux report for an object, by the checks in manifests/gitops."""

import functools
import json
from collections.abc import Mapping
from typing import Any

import yaml
from cel_expr_python import cel

from tests.cluster import execution, places
from tests.judges import programs

_GITOPS = places.REPOSITORY / "manifests/gitops"
# In the order in which Flux evaluates them (RFC 0009).
_ASKED = {"inProgress": "InProgress", "failed": "Failed", "current": "Current"}


def argo(body: Mapping[str, Any]) -> tuple[str, str]:
    """Status and message by health.lua, run as Argo CD does."""
    command = [programs.program("lua"), _GITOPS / "argocd/health.lua"]
    result = json.loads(execution.output_of(command, stdin=json.dumps(body)))
    return result["status"], result["message"]


def flux(body: Mapping[str, Any]) -> str:
    """The status by the CEL expressions of the Kustomization, evaluated as Flux does.

    Raises:
        Exception: An expression cannot be evaluated; Flux then waits for its timeout.
    """
    observed = body.get("status", {}).get("observedGeneration")
    if observed is not None and observed != body["metadata"]["generation"]:
        return "InProgress"
    for name, status in _ASKED.items():
        result = _compiled(name).eval(data={key: body[key] for key in ("metadata", "status")})
        assert result.type() == cel.Type.BOOL, f"{name}: {result}"
        if result.value():
            return status
    return "InProgress"


@functools.cache
def _compiled(name: str) -> Any:
    _, kustomization = yaml.safe_load_all((_GITOPS / "flux/services.yaml").read_text())
    (check,) = kustomization["spec"]["healthCheckExprs"]
    variables = {"metadata": cel.Type.DYN, "status": cel.Type.DYN}
    return cel.NewEnv(variables=variables).compile(check[name])
