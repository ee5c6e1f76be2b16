"""Generates the bundle for the Operator Lifecycle Manager from the objects of install.yaml.

The bundle has the chart's objects with its defaults, except the NetworkPolicy. OLM chooses the
namespace, so the operator reads it from its pod.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fastapi_operator import naming
from manifests.generate import documents
from manifests.generate.install import NAMESPACE

FOLDER = "manifests/olm"
_NAME = "fastapi-operator"
_CHART = "charts/fastapi-operator"
# Of the service account; OLM creates them from the lists in the ClusterServiceVersion.
_GRANTED = frozenset({"clusterrole-fastapi-operator", "role-fastapi-operator-lease"})
_LEFT_OUT = (
    *("clusterrolebinding-", "rolebinding-fastapi-operator-lease", "serviceaccount-"),
    *("deployment-", "namespace", "networkpolicy-", "kustomization"),
)
_LABELS = {
    "operators.operatorframework.io.bundle.mediatype.v1": "registry+v1",
    "operators.operatorframework.io.bundle.manifests.v1": "manifests/",
    "operators.operatorframework.io.bundle.metadata.v1": "metadata/",
    "operators.operatorframework.io.bundle.package.v1": _NAME,
    "operators.operatorframework.io.bundle.channels.v1": "alpha",
    "operators.operatorframework.io.bundle.channel.default.v1": "alpha",
}
_HEAD = documents.heading("charts/fastapi-operator, by way of install.yaml")


def files(root: Path) -> Mapping[str, str]:
    """Returns the files of the bundle, by path."""
    sources = {
        Path(name).stem: yaml.safe_load((root / "manifests" / folder / name).read_text())
        for folder in ("rbac", "operator")
        for name in _listed(root / "manifests" / folder)
    }
    objects = {
        f"{name}.yaml": _without_namespace(body)
        for name, body in sources.items()
        if name not in _GRANTED and not name.startswith(_LEFT_OUT)
    }
    crd = yaml.safe_load((root / "manifests/crds/fastapiservices.yaml").read_text())
    objects["fastapiservices.yaml"] = crd
    objects[f"{_NAME}.clusterserviceversion.yaml"] = _version(root, sources, crd)
    made = {f"{FOLDER}/manifests/{name}": documents.dump([body]) for name, body in objects.items()}
    made[f"{FOLDER}/metadata/annotations.yaml"] = documents.dump([{"annotations": _LABELS}])
    labels = "".join(f"LABEL {name}={value}\n" for name, value in _LABELS.items())
    made[f"{FOLDER}/bundle.Dockerfile"] = (
        f"# docker build -f bundle.Dockerfile .\nFROM scratch\n{labels}"
        "COPY manifests /manifests/\nCOPY metadata /metadata/\n"
    )
    return {path: _HEAD + text for path, text in made.items()}


def _listed(folder: Path) -> list[str]:
    """Returns the files that kustomize takes; others in the folder may be left over."""
    resources: list[str] = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return resources


def _version(root: Path, sources: Mapping[str, Any], crd: Mapping[str, Any]) -> dict[str, Any]:
    chart = yaml.safe_load((root / _CHART / "Chart.yaml").read_text())
    deployment = _of_any_namespace(sources["deployment-fastapi-operator"])
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    sample = yaml.safe_load((root / "manifests/samples/minimal.yaml").read_text())
    icon = base64.b64encode((root / "docs/pictures/icon.svg").read_bytes()).decode()
    names = crd["spec"]["names"]
    return {
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": f"{_NAME}.v{chart['version']}",
            "annotations": {
                "alm-examples": json.dumps([sample], indent=2),
                "capabilities": "Seamless Upgrades",
                "categories": "Application Runtime",
                "containerImage": image,
                "description": chart["description"],
                "repository": chart["home"],
                "support": chart["maintainers"][0]["name"],
            },
        },
        "spec": {
            "displayName": "FastAPI Operator",
            "description": _description(root, chart["home"]),
            "version": chart["version"],
            "minKubeVersion": chart["kubeVersion"].strip(">=").removesuffix("-0"),
            "maturity": "alpha",
            "keywords": chart["keywords"],
            "links": [{"name": "Documentation", "url": f"{chart['home']}/tree/main/docs"}],
            "provider": {"name": chart["maintainers"][0]["name"], "url": chart["home"]},
            "icon": [{"base64data": icon, "mediatype": "image/svg+xml"}],
            "customresourcedefinitions": {
                "owned": [
                    {
                        "name": crd["metadata"]["name"],
                        "version": crd["spec"]["versions"][0]["name"],
                        "kind": names["kind"],
                        "displayName": "FastAPI service",
                        "description": "A FastAPI application with all that it needs under heavy "
                        "traffic",
                    }
                ]
            },
            "installModes": [
                {"type": mode, "supported": mode == "AllNamespaces"}
                for mode in ("OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces")
            ],
            "install": {
                "strategy": "deployment",
                "spec": {
                    "clusterPermissions": [
                        _permissions(sources["clusterrole-fastapi-operator"]),
                    ],
                    "permissions": [_permissions(sources["role-fastapi-operator-lease"])],
                    "deployments": [
                        {
                            "name": deployment["metadata"]["name"],
                            "label": deployment["metadata"]["labels"],
                            "spec": deployment["spec"],
                        }
                    ],
                },
            },
            "relatedImages": list(_images(root)),
        },
    }


def _permissions(role: Mapping[str, Any]) -> dict[str, Any]:
    return {"serviceAccountName": _NAME, "rules": role["rules"]}


def _images(root: Path) -> Iterator[dict[str, str]]:
    for line in (root / "manifests/images.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            image = line.split()[0]
            yield {"name": image.rpartition("/")[2].partition(":")[0], "image": image}


def _description(root: Path, home: str) -> str:
    """Returns the first paragraph of the README, and an example."""
    readme = (root / "README.md").read_text()
    first = readme.split("\n\n")[1]
    example = (root / "manifests/samples/minimal.yaml").read_text()
    fields = f"{home}/blob/main/docs/reference/api.md"
    return f"{first}\n\n```yaml\n{example}```\n\nFields of `{naming.API_VERSION}`: {fields}\n"


def _without_namespace(body: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in body["metadata"].items() if key != "namespace"}
    return {**body, "metadata": metadata}


def _of_any_namespace(deployment: dict[str, Any]) -> dict[str, Any]:
    """Returns the Deployment with the namespace of its pod in place of the chart's default."""
    text = json.dumps(deployment).replace(f"={NAMESPACE}", "=$(POD_NAMESPACE)")
    found: dict[str, Any] = json.loads(text)
    container = found["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [
        {
            "name": "POD_NAMESPACE",
            "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
        },
        *container.get("env", ()),
    ]
    return found
