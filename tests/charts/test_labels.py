"""Labels of the user that repeat a label of the chart: each label is rendered once."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.conftest import OPERATOR, SERVICE, Helm, HelmError
from tests.cluster import binaries

_SELECTORS = ("app.kubernetes.io/name", "app.kubernetes.io/instance")
_STANDARD = (
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
    "helm.sh/chart",
)
_MINE = dict.fromkeys(_STANDARD, "mine") | {"team": "core"}
_RENDERED = {
    "serviceMonitor": {"renderMode": "alwaysRender"},
    "rules": {"renderMode": "alwaysRender"},
}
# Each value with labels of the operator's chart, and the objects that get them.
_VALUES: dict[str, tuple[str, ...]] = {
    "commonLabels": ("Deployment", "Service", "ConfigMap", "ClusterRole", "PrometheusRule"),
    "podLabels": ("Deployment",),
    "dashboards.additionalLabels": ("ConfigMap",),
    "rules.additionalLabels": ("PrometheusRule",),
    "serviceMonitor.additionalLabels": ("ServiceMonitor",),
}


class _Strict(yaml.SafeLoader):
    """Refuses a mapping with a duplicate key, as kustomize and the API server do."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"duplicate key in {keys}"
        return super().construct_mapping(node, deep)


def _set(labels: dict[str, str], *paths: str) -> dict[str, Any]:
    values: dict[str, Any] = {name: dict(section) for name, section in _RENDERED.items()}
    for path in paths:
        *above, last = path.split(".")
        section = values
        for name in above:
            section = section.setdefault(name, {})
        section[last] = labels
    return values


def _rendered(helm: Helm, chart: Path, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    text = helm.run("template", "platform", chart, values=values)
    yield from filter(None, yaml.load_all(text, Loader=_Strict))


def test_a_label_of_the_user_replaces_a_standard_one(helm: Helm) -> None:
    for paths in (("commonLabels",), tuple(_VALUES)[1:]):
        objects = list(_rendered(helm, OPERATOR, _set(_MINE, *paths)))
        for path in paths:
            found = [body for body in objects if body["kind"] in _VALUES[path]]
            assert found, path
            for body in found:
                holder = body["spec"]["template"] if path == "podLabels" else body
                if body["kind"] != "ConfigMap" or "dashboard" in body["metadata"]["name"]:
                    assert holder["metadata"]["labels"].items() >= _MINE.items(), (path, body)


@pytest.mark.parametrize(
    ("value", "label"),
    [*zip(_VALUES, _SELECTORS * 3, strict=False), ("commonLabels", _SELECTORS[1])],
)
def test_a_label_that_a_selector_uses_is_refused(helm: Helm, value: str, label: str) -> None:
    with pytest.raises(HelmError, match=rf"{value}: the label {label} must not be set"):
        helm.run("template", "platform", OPERATOR, values=_set({label: "mine"}, value))


def test_an_annotation_of_the_user_does_not_repeat_the_checksum(helm: Helm) -> None:
    values = {"podAnnotations": {"checksum/settings": "mine", "team": "core"}}
    (deployment,) = (
        body for body in _rendered(helm, OPERATOR, values) if body["kind"] == "Deployment"
    )
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations["team"] == "core"
    assert annotations["checksum/settings"] != "mine"


def test_a_service_takes_labels_that_repeat_standard_ones(helm: Helm) -> None:
    mine = _MINE | dict.fromkeys(_SELECTORS, "mine")
    values = {"image": "r.example.net/a:1", "labels": mine, "helmTest": {"enabled": False}}
    (body,) = _rendered(helm, SERVICE, values)
    assert body["metadata"]["labels"] == mine


def test_kustomize_builds_what_the_chart_renders(helm: Helm, tmp_path: Path) -> None:
    values = {"commonLabels": _MINE, "podLabels": _MINE, **_RENDERED}
    text = helm.run("template", "platform", OPERATOR, values=values)
    (tmp_path / "all.yaml").write_text(text)
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [all.yaml]\nlabels: [{pairs: {app.kubernetes.io/part-of: other}}]\n"
    )
    kubectl = binaries.ensure() / "kubectl"
    done = subprocess.run(
        [kubectl, "kustomize", tmp_path], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "app.kubernetes.io/part-of: other" in done.stdout


def test_every_pod_of_the_charts_runs_on_linux(helm: Helm) -> None:
    values = {"nodeSelector": {"kubernetes.io/os": "windows", "pool": "system"}}
    (deployment,) = (
        body for body in _rendered(helm, OPERATOR, values) if body["kind"] == "Deployment"
    )
    selector = deployment["spec"]["template"]["spec"]["nodeSelector"]
    assert selector == {"kubernetes.io/os": "linux", "pool": "system"}
    objects = _rendered(helm, SERVICE, {"image": "r.example.net/a:1"})
    (test,) = (body for body in objects if body["kind"] == "Pod")
    assert test["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
