"""The account under which the operator runs in a cluster: its rights, and a token of its own.

A client certificate, as administrators have, is verified again by each request: a twelfth of the
API server's CPU time that no pod ever costs.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from tests.api.kube import Kube

NAMESPACE = "fastapi-operator-system"
NAME = "fastapi-operator"
_INSTALL = Path(__file__).parents[3] / "manifests" / "install.yaml"
_RIGHTS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles",
    "RoleBinding": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings",
}


def kubeconfig(kube: Kube, administrator: Path, target: Path) -> Path:
    """Creates the account as ``manifests/install.yaml`` does; returns a kubeconfig with its token.

    Args:
        kube: The administrator's way to the API server.
        administrator: The administrator's kubeconfig, for the server's address and authority.
        target: File to write, readable by its owner only.
    """
    for body in yaml.safe_load_all(_INSTALL.read_text()):
        if body["kind"] in _RIGHTS:
            kube.request("POST", _RIGHTS[body["kind"]], body)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = kube.request("POST", f"{_RIGHTS['ServiceAccount']}/{NAME}/token", asked)
    content: dict[str, Any] = yaml.safe_load(administrator.read_text())
    content["users"] = [
        {"name": user["name"], "user": {"token": answer["status"]["token"]}}
        for user in content["users"]
    ]
    target.touch(mode=0o600)
    target.write_text(json.dumps(content))
    return target
