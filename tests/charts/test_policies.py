"""The platform team's policies in a real API server: permitted and rejected services."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.charts.conftest import ROOT
from tests.cluster.apiserver import ApiServer
from tests.kubectl import Kubectl, KubectlError, eventually

pytestmark = pytest.mark.api

IMAGE = "registry.example.com/shop:1.4.2"
PERMITTED: dict[str, dict[str, Any]] = {
    "image": {},
    "sidecar": {"containers": [{"name": "agent", "image": "registry.example.com/agent:1"}]},
    "sidecar-without-image": {"podTemplate": {"spec": {"containers": [{"name": "app"}]}}},
    "host": {"exposure": {"hosts": ["shop.example.com", "eu.shop.example.com"], "ingress": {}}},
    "sizes": {
        "scaling": {"minReplicas": 2, "maxReplicas": 20},
        "resources": {"requests": {"cpu": 4, "memory": "8Gi"}},
        "redis": {"memory": "8192Mi"},
        "postgres": {"storage": {"size": "200Gi"}},
    },
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"image": "docker.io/shop:1"}, "docker.io/shop:1 is not from a permitted registry"),
    "registry-of-a-like-name": (
        {"image": "registry.example.com.evil.test/shop:1"},
        "use one of registry.example.com/",
    ),
    "sidecar": (
        {"containers": [{"name": "agent", "image": "docker.io/agent"}]},
        "docker.io/agent is not from",
    ),
    "init": (
        {"initContainers": [{"name": "warm", "image": "docker.io/warm"}]},
        "docker.io/warm is not from",
    ),
    "pod-template": (
        {"podTemplate": {"spec": {"containers": [{"name": "x", "image": "docker.io/x"}]}}},
        "docker.io/x is not from",
    ),
    "host": (
        {"exposure": {"hosts": ["other.example.com"], "ingress": {}}},
        "other.example.com is not permitted in namespace team-a; permitted: shop.example.com, ",
    ),
    "host-of-a-like-name": (
        {"exposure": {"hosts": ["myshop.example.com"], "ingress": {}}},
        "myshop.example.com is not permitted",
    ),
    "replicas": ({"scaling": {"maxReplicas": 21}}, "at most 20 pods"),
    "background": (
        {"background": [{"name": "worker", "command": ["work"], "replicas": 21}]},
        "at most 20 pods",
    ),
    "workers": (
        {
            "queue": {},
            "background": [
                {
                    "name": "worker",
                    "command": ["work"],
                    "scaling": {"listName": "mail", "maxReplicas": 21},
                }
            ],
        },
        "at most 20 pods",
    ),
    "cpu": ({"resources": {"limits": {"cpu": "4001m"}}}, "more than 4 cores"),
    "memory": ({"resources": {"requests": {"memory": "8193Mi"}}}, "memory above 8Gi"),
    "cache": ({"redis": {"memory": "9Gi"}}, "memory above 8Gi"),
    "storage": ({"postgres": {"storage": {"size": "1Ti"}}}, "a volume above 200Gi"),
    "backup": (
        {"postgres": {"backup": {"storage": {"size": "201Gi"}}}},
        "a volume above 200Gi",
    ),
}


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    """An API server with the policies in force."""
    with ApiServer(f"policies-{os.getpid()}", controllers=True) as server:
        kubectl = Kubectl(str(server.programs / "kubectl"), server.kubeconfig)
        kubectl("apply", "-f", str(ROOT / "manifests/crds/fastapiservices.yaml"))
        for namespace in ("fastapi-operator-system", "team-a", "team-b"):
            kubectl("create", "namespace", namespace)
        kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        kubectl("apply", "-k", str(ROOT / "manifests/policies"), "--validate=strict")
        # A policy takes effect a little after it is written; each of them refuses something.
        for state in ("image", "host", "replicas"):
            eventually(
                lambda state=state: refusal(kubectl, REFUSED[state][0]),
                seconds=60,
                what=f"the policy that refuses {state}",
            )
        yield kubectl


def refusal(kubectl: Kubectl, spec: dict[str, Any], namespace: str = "team-a") -> str:
    """Returns the API server's error for a service; empty if it accepts it."""
    body = {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": "shop", "namespace": namespace},
        "spec": {"image": IMAGE, **spec},
    }
    try:
        kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body))
    except KubectlError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("case", PERMITTED)
def test_a_service_within_the_bounds_is_accepted(kubectl: Kubectl, case: str) -> None:
    assert refusal(kubectl, PERMITTED[case]) == ""


@pytest.mark.parametrize("case", REFUSED)
def test_a_service_beyond_a_bound_is_rejected_with_the_bound(kubectl: Kubectl, case: str) -> None:
    spec, message = REFUSED[case]
    assert message in refusal(kubectl, spec)


def test_a_namespace_without_an_entry_takes_no_host(kubectl: Kubectl) -> None:
    assert refusal(kubectl, {}, "team-b") == ""
    assert "permitted: none" in refusal(kubectl, PERMITTED["host"], "team-b")


def test_scaling_past_the_bound_is_refused_too(kubectl: Kubectl) -> None:
    body = {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": "scaled", "namespace": "team-a"},
        "spec": {"image": IMAGE},
    }
    kubectl.apply(body)
    scale = ("scale", "fastapiservice", "scaled", "-n", "team-a")
    kubectl(*scale, "--replicas=20")
    with pytest.raises(KubectlError, match="at most 20 pods"):
        kubectl(*scale, "--replicas=21")


def test_the_policies_are_well_typed(kubectl: Kubectl) -> None:
    def checked() -> list[dict[str, Any]]:
        found = kubectl.json("get", "validatingadmissionpolicies")["items"]
        statuses = [policy.get("status", {}) for policy in found]
        return statuses if all("typeChecking" in status for status in statuses) else []

    statuses = eventually(checked, seconds=30, what="the types of each policy checked")
    assert len(statuses) == 4
    assert [status["typeChecking"] for status in statuses] == [{}] * 4


def test_without_its_bounds_a_policy_refuses(kubectl: Kubectl) -> None:
    path = ("fastapiservice-hosts", "-n", "fastapi-operator-system")
    bounds = kubectl.json("get", "configmap", *path)
    kubectl("delete", "configmap", *path)
    eventually(lambda: refusal(kubectl, {}), seconds=30, what="a refusal without bounds")
    kubectl.apply(
        {key: bounds[key] for key in ("apiVersion", "kind", "data")}
        | {"metadata": {"name": path[0], "namespace": path[2]}}
    )
    eventually(lambda: not refusal(kubectl, {}), seconds=30, what="the bounds back in force")
