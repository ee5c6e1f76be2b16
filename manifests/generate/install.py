"""Generates install.yaml and the kustomize bases from the operator's chart with its defaults.

Both ways to install have one source. Labels that only Helm uses are removed.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from manifests.generate import documents

NAMESPACE = "fastapi-operator-system"
_CHART = "charts/fastapi-operator"
_SOURCE = f"{_CHART} with its default values"
_HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")
# The folder of manifests/ for each kind; other kinds are in operator/.
_FOLDERS = {
    "ServiceAccount": "rbac",
    "ClusterRole": "rbac",
    "ClusterRoleBinding": "rbac",
    "Role": "rbac",
    "RoleBinding": "rbac",
}
# Objects that need optional APIs or Grafana are in monitoring/.
_INSTALLED = "dashboards.enabled=false"
_WITH_MONITORING = "serviceMonitor.renderMode=alwaysRender,rules.renderMode=alwaysRender"


class NoHelmError(RuntimeError):
    """helm, which renders the chart, was not found."""


def files(root: Path) -> Mapping[str, str]:
    """Returns install.yaml and its parts, by path.

    Raises:
        NoHelmError: helm is not on PATH, in $HELM, or among the local node's tools.
        subprocess.CalledProcessError: The chart does not render; helm prints the reason.
    """
    objects = [_plain(document) for document in _rendered(root, _INSTALLED)]
    installed = {_key(document) for document in objects}
    objects.sort(key=lambda document: document["kind"] != "Namespace")
    made: dict[str, str] = {
        "manifests/install.yaml": documents.heading(_SOURCE)
        + documents.dump([_namespace(), *_definition(root), *objects]),
        "manifests/operator/namespace.yaml": documents.heading(_SOURCE)
        + documents.dump([_namespace()]),
    }
    monitoring = [
        _plain(document)
        for document in _rendered(root, _WITH_MONITORING)
        if _key(document) not in installed
    ]
    for document in (*objects, *monitoring):
        folder = _FOLDERS.get(document["kind"], "operator")
        if document in monitoring:
            folder = "monitoring"
        path = f"manifests/{folder}/{document['kind'].lower()}-{document['metadata']['name']}.yaml"
        made[path] = documents.heading(_SOURCE) + documents.dump([document])
    for folder in ("rbac", "operator", "monitoring", "crds"):
        names = (
            ["fastapiservices.yaml"]
            if folder == "crds"
            else [
                path.rpartition("/")[2] for path in made if path.startswith(f"manifests/{folder}/")
            ]
        )
        made[f"manifests/{folder}/kustomization.yaml"] = _kustomization(sorted(names))
    made["manifests/kustomization.yaml"] = _kustomization(["crds", "operator", "rbac"])
    return made


def find_helm() -> str:
    """Returns the path of helm.

    Raises:
        NoHelmError: helm was not found.
    """
    named = os.environ.get("HELM") or shutil.which("helm")
    if named:
        return named
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = sorted(
        cache.glob("fastapi-operator/tools/*/helm"), key=lambda path: path.stat().st_mtime
    )
    if built:
        return str(built[-1])
    raise NoHelmError(
        "manifests/install.yaml: helm was not found; put it on PATH, set HELM=…, or build it "
        "with: python3 -m tests.cluster tools"
    )


def _rendered(root: Path, values: str) -> list[dict[str, Any]]:
    command = [find_helm(), "template", "fastapi-operator", str(root / _CHART)]
    command += ["--namespace", NAMESPACE, "--set", f"crds.enabled=false,{values}"]
    done = subprocess.run(  # noqa: S603
        command, check=True, stdout=subprocess.PIPE, text=True
    )
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def _key(document: dict[str, Any]) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]


def _definition(root: Path) -> list[dict[str, Any]]:
    text = (root / "manifests/crds/fastapiservices.yaml").read_text()
    return [yaml.safe_load(text)]


def _namespace() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """Returns an object without Helm's labels, in the usual order of keys."""
    for labels in (
        document["metadata"].get("labels", {}),
        document.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
        if document["kind"] == "Deployment"
        else {},
    ):
        for name in _HELM_LABELS:
            labels.pop(name, None)
    first = ("apiVersion", "kind", "metadata")
    return {name: document[name] for name in first} | {
        name: value for name, value in document.items() if name not in first
    }


def _kustomization(names: list[str]) -> str:
    return documents.heading("the files beside it") + documents.dump(
        [
            {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": names,
            }
        ]
    )
