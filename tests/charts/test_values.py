"""Each value of each chart changes the rendered objects, and is documented."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from manifests.generate import values
from tests.charts.conftest import OPERATOR, SERVICE, Helm, Object

_DIGEST = f"sha256:{'0' * 64}"
_MONITOR = {"serviceMonitor": {"renderMode": "alwaysRender"}}
_RULES = {"rules": {"renderMode": "alwaysRender"}}
_GRAFANA = {"grafanaDashboards": {"renderMode": "alwaysRender"}}
_PEER = {"namespaceSelector": {}}

# value -> (another setting of it, further values that it needs to have an effect)
OPERATOR_VALUES: dict[str, tuple[Any, dict[str, Any]]] = {
    "nameOverride": ("other", {}),
    "fullnameOverride": ("other", {}),
    "commonLabels": ({"team": "platform"}, {}),
    "replicaCount": (3, {}),
    "leaseName": ("other", {}),
    "image.registry": ("mirror.example.com", {}),
    "image.repository": ("other", {}),
    "image.tag": ("9.9", {}),
    "image.digest": (_DIGEST, {}),
    "image.pullPolicy": ("Always", {}),
    "imagePullSecrets": ([{"name": "login"}], {}),
    "watchNamespaces": (["team"], {}),
    **{
        f"settings.images.{image}.{key}": (value, {})
        for image in (
            *("postgres", "pgbouncer", "redis", "valkey", "nginx", "caddy"),
            *("postgresExporter", "pgbouncerExporter", "redisExporter"),
        )
        for key, value in {
            "registry": "mirror.example.com",
            "repository": "other",
            "tag": "9.9",
            "digest": _DIGEST,
        }.items()
    },
    "settings.imagePullPolicy": ("Always", {}),
    "settings.imagePullSecrets": ([{"name": "login"}], {}),
    "settings.runAsUser": (20000, {}),
    "settings.storageClass": ("fast-ssd", {}),
    "settings.runbooks": ("https://wiki.example.com/runbooks", {}),
    "settings.resyncSeconds": (900, {}),
    "settings.discoverySeconds": (90, {}),
    "settings.workers": (4, {}),
    "settings.rolloutsAtOnce": (1, {}),
    "settings.readMetrics": (False, {}),
    "settings.measurementPace": (60, {}),
    "profiles": ({"internal": {"ceilings": {"scaling.maxReplicas": 5}}}, {}),
    "publishSettings": (False, {}),
    "crds.enabled": (False, {}),
    "crds.keep": (False, {}),
    "crds.annotations": ({"a": "b"}, {}),
    "rbac.create": (False, {}),
    "rbac.resizePods": (False, {}),
    "rbac.evictPods": (False, {}),
    "rbac.aggregateRoles": (False, {}),
    "serviceAccount.create": (False, {}),
    "serviceAccount.name": ("other", {}),
    "serviceAccount.annotations": ({"a": "b"}, {}),
    "resources.requests.cpu": ("75m", {}),
    "resources.requests.memory": ("128Mi", {}),
    "resources.requests.ephemeral-storage": ("32Mi", {}),
    "resources.limits.memory": ("512Mi", {}),
    "resources.limits.ephemeral-storage": ("512Mi", {}),
    "healthPort": (9090, {}),
    "extraArgs": (["--dry-run"], {}),
    "extraEnv": ([{"name": "A", "value": "b"}], {}),
    "extraVolumes": ([{"name": "more", "emptyDir": {}}], {}),
    "extraVolumeMounts": ([{"name": "more", "mountPath": "/more"}], {}),
    "openshift": ("always", {}),
    "podSecurityContext.runAsNonRoot": (False, {}),
    "podSecurityContext.runAsUser": (20000, {}),
    "podSecurityContext.runAsGroup": (20000, {}),
    "podSecurityContext.seccompProfile.type": ("Unconfined", {}),
    "securityContext.allowPrivilegeEscalation": (True, {}),
    "securityContext.readOnlyRootFilesystem": (False, {}),
    "securityContext.capabilities.drop": ([], {}),
    "podLabels": ({"team": "platform"}, {}),
    "podAnnotations": ({"a": "b"}, {}),
    "priorityClassName": ("system-cluster-critical", {}),
    "nodeSelector": ({"pool": "system"}, {}),
    "tolerations": ([{"operator": "Exists"}], {}),
    "affinity": ({"nodeAffinity": {}}, {}),
    "topologySpreadConstraints": (
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        {},
    ),
    "terminationGracePeriodSeconds": (60, {}),
    "podDisruptionBudget.enabled": (False, {}),
    "networkPolicy.enabled": (False, {}),
    "networkPolicy.from": ([_PEER], {}),
    "networkPolicy.apiServerPorts": ([8443], {}),
    "serviceMonitor.enabled": (False, {"serviceMonitor": {"renderMode": "alwaysRender"}}),
    "serviceMonitor.renderMode": ("alwaysRender", {}),
    "serviceMonitor.additionalLabels": ({"release": "prometheus"}, _MONITOR),
    "serviceMonitor.interval": ("10s", _MONITOR),
    "rules.enabled": (False, _RULES),
    "rules.renderMode": ("alwaysRender", {}),
    "rules.additionalLabels": ({"release": "prometheus"}, _RULES),
    "dashboards.enabled": (False, {}),
    "dashboards.namespace": ("grafana", {}),
    "dashboards.label": ("dashboard", {}),
    "dashboards.labelValue": ("yes", {}),
    "dashboards.additionalLabels": ({"a": "b"}, {}),
    "dashboards.annotations": ({"grafana_folder": "FastAPI"}, {}),
    "grafanaDashboards.enabled": (False, _GRAFANA),
    "grafanaDashboards.renderMode": ("alwaysRender", {}),
    "grafanaDashboards.instanceLabels.dashboards": ("other", _GRAFANA),
    "extraObjects": (["apiVersion: v1\nkind: Namespace\nmetadata: {name: more}"], {}),
}

_IMAGE = {"image": "registry.example.com/shop:1.4.2"}
SERVICE_VALUES: dict[str, tuple[Any, dict[str, Any]]] = {
    "nameOverride": ("other", _IMAGE),
    "labels": ({"team": "shop"}, _IMAGE),
    "annotations": ({"a": "b"}, _IMAGE),
    "helmTest.enabled": (False, _IMAGE),
    "helmTest.path": ("/items", _IMAGE),
    "helmTest.timeoutSeconds": (10, _IMAGE),
}

CHARTS = {OPERATOR: OPERATOR_VALUES, SERVICE: SERVICE_VALUES}


def leaves(chart: Path) -> list[values.Value]:
    found = values.read((chart / "values.yaml").read_text())
    return [value for value in found if not value.is_section]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda path: path.name)
def test_every_value_has_a_test(chart: Path) -> None:
    assert {value.name for value in leaves(chart)} == set(CHARTS[chart])


@pytest.mark.parametrize(
    ("chart", "name"),
    [(chart, name) for chart, table in CHARTS.items() for name in table],
    ids=lambda item: item.name if isinstance(item, Path) else item,
)
def test_a_value_changes_the_rendered_objects(helm: Helm, chart: Path, name: str) -> None:
    other, context = CHARTS[chart][name]
    (value,) = [value for value in leaves(chart) if value.name == name]
    assert value.default != other
    changed = _merged(context, _nested(value.path, other))
    assert helm.render(chart, changed) != _rendered(helm, chart, json.dumps(context))


def test_every_value_is_documented() -> None:
    pieces = ("settings.images.", "resources.", "podSecurityContext.", "securityContext.")
    missing = [
        value.name
        for chart in CHARTS
        for value in leaves(chart)
        if not value.text and not value.name.startswith(pieces)
    ]
    assert not missing


@functools.cache
def _rendered(helm: Helm, chart: Path, context: str) -> list[Object]:
    return helm.render(chart, json.loads(context))


def _nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    nested: dict[str, Any] = value
    return nested


def _merged(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    result = dict(one)
    for key, value in two.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result
