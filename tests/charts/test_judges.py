"""The shipped files and rendered objects, checked by kubeconform, kube-score and a mirror."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.api.parse import load_services, parse_service
from fastapi_operator.cluster import spy
from fastapi_operator.resources.build import build
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.charts.conftest import OPERATOR, ROOT, SERVICE, Helm, Object, of_kind
from tests.charts.test_manifests import FACTS, SAMPLES
from tests.judges import programs, schemas

EVERYTHING = {
    "serviceMonitor": {"renderMode": "alwaysRender"},
    "rules": {"renderMode": "alwaysRender"},
}
IMAGE = {"image": "registry.example.com/shop:1.4.2"}
# No Go module carries their schemas at a bearable size.
UNKNOWN = (
    "argoproj.io/v1alpha1/Application",
    "grafana.integreatly.org/v1beta1/GrafanaDashboard",
)
# The two checks that are off, and why: a CPU limit delays each request while processor time is
# idle; an image of a fixed tag or digest needs no registry at each start of a pod.
OFF = ("CPU limit is not set", "ImagePullPolicy is not set to Always")


@pytest.fixture(scope="session")
def schema_location(tmp_path_factory: pytest.TempPathFactory) -> str:
    return schemas.write(tmp_path_factory.mktemp("schemas"))


def conform(location: str, text: str) -> "subprocess.CompletedProcess[str]":
    command = [programs.program("kubeconform"), "-strict", "-summary", "-schema-location"]
    return subprocess.run(
        [*command, location, "-skip", ",".join(UNKNOWN), "-"],
        input=text,
        capture_output=True,
        text=True,
    )


def documents(objects: list[Object]) -> str:
    return yaml.dump_all(objects, Dumper=yaml.CSafeDumper)


def rendered_services() -> Iterator[tuple[Path, list[Object]]]:
    """Returns the objects of each sample."""
    for sample in (*SAMPLES, *(ROOT / "tests/golden").glob("*/service.yaml")):
        for body in load_services(sample.read_text()):
            service, _ = parse_service(body)
            assert service is not None
            plan = derive(service, Settings(), FACTS)
            yield sample, [found.body for found in build(service, plan, Settings(), FACTS)]


def images(node: Any) -> Iterator[str]:
    """Every image that an object names."""
    if isinstance(node, dict):
        yield from (node[key] for key in ("image", "imageName") if isinstance(node.get(key), str))
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from images(item)


def listed() -> dict[str, str]:
    """images.txt: the value of each image's digest."""
    lines = (ROOT / "manifests/images.txt").read_text().splitlines()
    return dict(line.split() for line in lines if not line.startswith("#"))


# kubeconform -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values", [{}, EVERYTHING, {"watchNamespaces": ["a"]}], ids=["default", "more", "narrowed"]
)
def test_objects_of_the_operators_chart_conform(
    helm: Helm, schema_location: str, values: dict[str, Any]
) -> None:
    done = conform(schema_location, documents(helm.render(OPERATOR, values)))
    assert done.returncode == 0, done.stdout


def test_objects_of_the_services_chart_conform(helm: Helm, schema_location: str) -> None:
    done = conform(schema_location, documents(helm.render(SERVICE, IMAGE)))
    assert done.returncode == 0, done.stdout


def test_every_manifest_conforms(schema_location: str) -> None:
    # Files for other tools, which test_ecosystem.py judges.
    others = {"backstage", "kro", "olm"}
    paths = [
        path
        for path in sorted((ROOT / "manifests").rglob("*.yaml"))
        # kubectl kustomize judges these, in test_overlays.py.
        if "kustomize.config.k8s.io" not in path.read_text()
        and path.relative_to(ROOT / "manifests").parts[0] not in others
    ]
    assert len(paths) > 30
    done = conform(schema_location, "---\n".join(path.read_text() for path in paths))
    assert done.returncode == 0, done.stdout


def test_objects_of_every_sample_conform(schema_location: str) -> None:
    objects = [body for _, bodies in rendered_services() for body in bodies]
    done = conform(schema_location, documents(objects))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("field", ["replica", "template.spec.containers.0.imagePulPolicy"])
def test_a_field_that_no_schema_names_does_not_conform(
    helm: Helm, schema_location: str, field: str
) -> None:
    (body,) = of_kind(helm.render(OPERATOR), "Deployment")
    target: Any = body["spec"]
    *path, last = field.split(".")
    for key in path:
        target = target[int(key) if key.isdigit() else key]
    target[last] = "Always"
    assert last in conform(schema_location, documents([body])).stdout


# kube-score ------------------------------------------------------------------------------------


def findings(text: str) -> list[str]:
    command = [programs.program("kube-score"), "score", "--output-format", "ci", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("[CRITICAL]")]


def test_kube_score_finds_no_critical_problem_in_either_chart(helm: Helm) -> None:
    text = documents(helm.render(OPERATOR) + helm.render(SERVICE, IMAGE))
    found = findings(text)
    assert [line for line in found if not line.endswith(OFF)] == []
    # kube-score finds both, so it did check, and both exceptions are needed.
    assert {reason for reason in OFF for line in found if line.endswith(reason)} == set(OFF)


# Findings of kube-score in the operator's pods that are intended, with the reason.
DECIDED = {
    OFF[0]: "as above",
    OFF[1]: "as above",
    # Files are bounded already: the root is read-only, each scratch volume has its own limit. Logs
    # belong to the kubelet, whose limit is a setting of the node. A lower limit here would evict a
    # healthy pod because of its logs.
    "Ephemeral Storage limit is not set": "files are bounded by volume, logs by the kubelet",
    "Ephemeral Storage request is not set": "files are bounded by volume, logs by the kubelet",
    "Container has the same readiness and liveness probe": "the same question, asked for longer",
    "StatefulSet does not have a valid serviceName": "one pod, reached by a Service",
    "The deployment is targeted by a HPA, but a static replica count is configured in the "
    "DeploymentSpec": "where the pods begin; once the autoscaler has them, it is left out",
}


def test_kube_score_finds_only_intended_deviations_in_a_service() -> None:
    samples = [ROOT / "manifests/samples" / name for name in ("minimal.yaml", "shop.yaml")]
    found = [
        line
        for sample, objects in rendered_services()
        if sample in samples
        for line in findings(documents(objects))
    ]
    seen = {re.sub(r"^\(\S+\) ", "", line.split(": ", 1)[1]) for line in found}
    assert seen == set(DECIDED)


# images.txt ------------------------------------------------------------------------------------


def test_no_rendered_image_is_missing_in_the_list(helm: Helm) -> None:
    charts = set(images(helm.render(OPERATOR)))
    services = {image for _, bodies in rendered_services() for image in images(bodies)}
    # The images of users: that of the app, and that of the sidecar in a golden case.
    own = ("registry.example.com/", "mirror.example.net/")
    services = {image for image in services if not image.startswith(own)}
    assert charts
    assert len(services) >= 5
    assert charts | services <= listed().keys()


def test_the_value_beside_an_image_pins_it(helm: Helm) -> None:
    digest = f"sha256:{'a' * 64}"
    pinned = {image: value for image, value in listed().items() if image != spy.IMAGE}
    assert listed()[spy.IMAGE] == "--image"
    for image, value in pinned.items():
        objects = helm.render(OPERATOR, {}, "--set", f"{value}={digest}")
        settings = [
            Settings.from_mapping(yaml.safe_load(body["data"]["settings.yaml"]))
            for body in of_kind(objects, "ConfigMap")
            if "settings.yaml" in body["data"]
        ]
        named = {entry.reference for _, entry in settings[0].images} | set(images(objects))
        assert f"{image}@{digest}" in named


def test_the_command_in_the_list_copies_every_image_to_the_mirror(tmp_path: Path) -> None:
    text = (ROOT / "manifests/images.txt").read_text()
    command = "\n".join(re.findall(r"^#   (.*)$", text, re.MULTILINE))
    (tmp_path / "skopeo").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "skopeo").chmod(0o755)
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "MIRROR": "mirror.test/hub"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        f"copy --all docker://{image} docker://mirror.test/hub/{image.partition('/')[2]}"
        for image in listed()
    ]
