"""Admission policies of a platform team: they change objects while the operator writes them.

MutatingAdmissionPolicy does in the API server what a webhook does from outside.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi_operator import naming
from tests.api.kube import Kube
from tests.faults.fleet import NAMESPACES
from tests.faults.judge import INJECTED

_API = "admissionregistration.k8s.io/v1beta1"
_WORKLOADS = (("apps", "deployments"), ("apps", "statefulsets"))
_OTHERS = (("", "configmaps"), ("", "services"))
_MARKS = (
    "Object{metadata: Object.metadata{"
    f'labels: {{"{INJECTED}/team": "blue"}}, annotations: {{"{INJECTED}/checked": "yes"}}}}}}'
)
_ENV = (
    "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{"
    "containers: object.spec.template.spec.containers.map(c, "
    "Object.spec.template.spec.containers{name: c.name, env: ["
    f'Object.spec.template.spec.containers.env{{name: "{INJECTED}.mesh", value: "on"}}]}})}}}}}}}}'
)
# In two steps: kube-apiserver 1.35 panics at a patch whose value is a list of objects.
_TOLERATION = (
    "has(object.spec.template.spec.tolerations) ? [] : ["
    'JSONPatch{op: "add", path: "/spec/template/spec/tolerations", value: []}, '
    'JSONPatch{op: "add", path: "/spec/template/spec/tolerations/-", value: '
    "Object.spec.template.spec.tolerations{"
    f'key: "{INJECTED}/pool", operator: "Exists"}}}}]'
)
_OVERRIDE = "Object{spec: Object.spec{minReadySeconds: 1}}"


@contextlib.contextmanager
def additions(kube: Kube) -> Iterator[None]:
    """Policies that add labels, annotations, an environment variable and a toleration."""
    marks = [_merge(_MARKS)]
    pods = [
        *marks,
        _merge(_ENV),
        {"patchType": "JSONPatch", "jsonPatch": {"expression": _TOLERATION}},
    ]
    where = f"request.namespace in [{_quoted(NAMESPACES)}]"
    with (
        _policy(kube, "marks", _OTHERS, where, marks),
        _policy(kube, "pods", _WORKLOADS, where, pods),
    ):
        yield


@contextlib.contextmanager
def overriding(kube: Kube, services: list[str]) -> Iterator[None]:
    """A policy that replaces a field that the operator sets in the Deployments of services."""
    label = f'object.metadata.?labels["{naming.SERVICE_LABEL}"].orValue("")'
    where = f"{label} in [{_quoted(services)}]"
    with _policy(kube, "override", (("apps", "deployments"),), where, [_merge(_OVERRIDE)]):
        yield


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _merge(expression: str) -> dict[str, Any]:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


@contextlib.contextmanager
def _policy(
    kube: Kube,
    name: str,
    kinds: tuple[tuple[str, str], ...],
    where: str,
    mutations: list[dict[str, Any]],
) -> Iterator[None]:
    name = f"{name}.{INJECTED}"
    rules = [
        {
            "apiGroups": [group],
            "apiVersions": ["v1"],
            "resources": [plural],
            "operations": ["CREATE", "UPDATE"],
        }
        for group, plural in kinds
    ]
    specs = {
        "mutatingadmissionpolicies": {
            "matchConstraints": {"resourceRules": rules},
            "matchConditions": [{"name": "chosen", "expression": where}],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": mutations,
        },
        "mutatingadmissionpolicybindings": {"policyName": name},
    }
    for plural, spec in specs.items():
        kube.request("POST", f"/apis/{_API}/{plural}", {"metadata": {"name": name}, "spec": spec})
    try:
        yield
    finally:
        for plural in specs:
            kube.delete(f"/apis/{_API}/{plural}/{name}")
