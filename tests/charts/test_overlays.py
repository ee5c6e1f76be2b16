"""Each kustomize overlay equals the operator's chart with the corresponding values."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.generate import install
from tests.charts.conftest import OPERATOR, ROOT, Helm, Object, of_kind
from tests.cluster import binaries

SPREAD = {
    "maxSkew": 1,
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "DoNotSchedule",
    "labelSelector": {
        "matchLabels": {
            "app.kubernetes.io/name": "fastapi-operator",
            "app.kubernetes.io/instance": "fastapi-operator",
        }
    },
}
# overlay -> values of the chart
OVERLAYS: dict[str, dict[str, Any]] = {
    "namespaced": {
        "watchNamespaces": ["team-a"],
        "extraArgs": ["--namespace=team-a"],
        "dashboards": {"enabled": False},
    },
    "high-availability": {
        "replicaCount": 3,
        "priorityClassName": "system-cluster-critical",
        "topologySpreadConstraints": [SPREAD],
        "dashboards": {"enabled": False},
    },
    "with-monitoring": {
        "serviceMonitor": {"renderMode": "alwaysRender"},
        "rules": {"renderMode": "alwaysRender"},
    },
}


def built(folder: Path) -> list[Object]:
    """Returns the objects that ``kubectl apply -k`` would apply."""
    command = [binaries.ensure() / "kubectl", "kustomize", folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return list(yaml.safe_load_all(done.stdout))


def test_every_overlay_has_its_values() -> None:
    assert {path.name for path in (ROOT / "manifests/overlays").iterdir()} == set(OVERLAYS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_the_chart_with_its_values(helm: Helm, overlay: str) -> None:
    def known(objects: list[Object]) -> dict[tuple[str, str, str], Object]:
        found = {}
        for body in map(install._plain, objects):
            body["metadata"].get("annotations", {}).pop("helm.sh/resource-policy", None)
            if not body["metadata"].get("annotations", True):
                del body["metadata"]["annotations"]
            place = body["metadata"].get("namespace", "")
            found[body["kind"], place, body["metadata"]["name"]] = body
        return found

    mine = known(built(ROOT / "manifests/overlays" / overlay))
    charts = known(
        helm.render(
            OPERATOR, OVERLAYS[overlay], release="fastapi-operator", namespace=install.NAMESPACE
        )
    )
    assert mine.pop(("Namespace", "", install.NAMESPACE))
    definition = ("CustomResourceDefinition", "", "fastapiservices.fastapi-operator.io")
    assert mine.pop(definition)["spec"] == charts.pop(definition)["spec"]
    if overlay == "namespaced":
        # The namespace is an argument there, since a patch cannot reach into the settings' text.
        for objects in (mine, charts):
            del objects["ConfigMap", install.NAMESPACE, "fastapi-operator-settings"]
            for body in of_kind(objects.values(), "Deployment"):
                del body["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
    assert mine == charts
