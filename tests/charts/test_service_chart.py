"""The objects of the service's chart, whose values are the spec."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import Spec
from tests.charts.conftest import ROOT, SERVICE, Helm, HelmError, of_kind, only

SAMPLES = sorted((ROOT / "manifests/samples").glob("*.yaml"))
IMAGE = {"image": "registry.example.com/shop:1.4.2"}


def test_it_passes_strict_lint(helm: Helm) -> None:
    helm.run("lint", "--strict", SERVICE, values=IMAGE)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_values_become_the_spec_unchanged(helm: Helm, sample: Path) -> None:
    spec = yaml.safe_load(sample.read_text())["spec"]
    service = only(helm.render(SERVICE, spec, release="shop"), "FastAPIService")
    assert service["spec"] == spec
    assert service["metadata"]["name"] == "shop"
    parsed, problems = parse_service(service)
    assert parsed is not None, problems


def test_large_numbers_stay_whole(helm: Helm) -> None:
    values = {**IMAGE, "traffic": {"peakRequestsPerSecond": 10_000_000}}
    service = only(helm.render(SERVICE, values), "FastAPIService")
    assert service["spec"]["traffic"]["peakRequestsPerSecond"] == 10_000_000


def test_a_missing_image_is_named_in_the_error(helm: Helm) -> None:
    with pytest.raises(HelmError, match="--set image="):
        helm.render(SERVICE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"redsi": {}}, "redsi"),
        ({"server": {"workers": -1}}, "workers"),
        ({"server": {"workers": "two"}}, "workers"),
        ({"resources": {"limits": {"memory": "12 bananas"}}}, "memory"),
        ({"proxy": {"engine": "Apache"}}, "engine"),
    ],
)
def test_a_wrong_field_is_refused_by_name(helm: Helm, values: dict[str, Any], message: str) -> None:
    with pytest.raises(HelmError, match=message):
        helm.render(SERVICE, {**IMAGE, **values})


@pytest.mark.parametrize("name", ["a" * 41, "9lives"])
def test_a_name_that_cannot_be_is_refused_and_not_cut(helm: Helm, name: str) -> None:
    with pytest.raises(HelmError, match="set nameOverride"):
        helm.render(SERVICE, IMAGE, release=name)
    service = only(
        helm.render(SERVICE, {**IMAGE, "nameOverride": "shop"}, release=name), "FastAPIService"
    )
    assert service["metadata"]["name"] == "shop"


def test_without_a_cluster_it_renders_and_with_one_it_wants_the_definition(helm: Helm) -> None:
    assert helm.render(SERVICE, IMAGE)
    cluster = ("--api-versions", "v1/Pod")
    with pytest.raises(HelmError, match="install the operator first"):
        helm.render(SERVICE, IMAGE, *cluster)
    operator = ("--api-versions", "fastapi-operator.io/v1alpha1/FastAPIService")
    assert helm.render(SERVICE, IMAGE, *cluster, *operator)


def test_no_value_of_the_chart_hides_a_field_of_spec(helm: Helm) -> None:
    own = set(yaml.safe_load((SERVICE / "values.yaml").read_text())) | {"global", "enabled"}
    fields = {field.alias or name for name, field in Spec.model_fields.items()}
    assert not own & fields
    service = only(
        helm.render(SERVICE, {**IMAGE, "global": {"a": 1}, "enabled": True}), "FastAPIService"
    )
    assert service["spec"] == IMAGE


def test_helm_test_calls_the_services_name_from_a_restricted_pod(helm: Helm) -> None:
    values = {**IMAGE, "imagePullPolicy": "Never", "imagePullSecrets": [{"name": "login"}]}
    pod = only(helm.render(SERVICE, values, release="shop", namespace="team"), "Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = pod["spec"]["containers"]
    assert "http://shop.team.svc/" in container["command"]
    assert container["image"] == IMAGE["image"]
    assert container["imagePullPolicy"] == "Never"
    assert pod["spec"]["imagePullSecrets"] == [{"name": "login"}]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert not of_kind(helm.render(SERVICE, {**IMAGE, "helmTest": {"enabled": False}}), "Pod")
