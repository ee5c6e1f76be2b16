"""Generated files are fresh, copies agree, and the samples are good services."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.api.model import Model, fields_of, section_of
from fastapi_operator.api.parse import load_services, parse_service
from fastapi_operator.api.service import Spec
from fastapi_operator.cluster.kinds import optional_apis
from fastapi_operator.facts import CERTIFICATE, HTTP_ROUTE, ROUTE_FIELDS, Facts
from fastapi_operator.problems import Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.charts.conftest import OPERATOR, ROOT, Helm

SAMPLES = sorted((ROOT / "manifests/samples").rglob("*.yaml"))
# A cluster that has everything a sample can make use of.
FACTS = Facts(apis=optional_apis() | {HTTP_ROUTE, CERTIFICATE}, route_fields=ROUTE_FIELDS)


def generate(*arguments: str, root: Path, helm: Helm) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "manifests.generate", *arguments],
        check=False,
        cwd=root,
        env={**os.environ, "HELM": str(helm.program), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


def test_generated_files_are_fresh(helm: Helm) -> None:
    done = generate("--check", root=ROOT, helm=helm)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_or_left_over_file_is_named_with_the_remedy(helm: Helm, tmp_path: Path) -> None:
    for folder in ("manifests", "charts", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "README.md", tmp_path)
    definition = tmp_path / "manifests/crds/fastapiservices.yaml"
    definition.write_text(definition.read_text().replace("FastAPIServiceList", "Services"))
    (tmp_path / "manifests/rbac/old.yaml").write_text("{}\n")
    done = generate("--check", root=tmp_path, helm=helm)
    assert done.returncode == 1
    for path in ("manifests/crds/fastapiservices.yaml", "manifests/rbac/old.yaml"):
        assert f"{path}: is stale; renew it with: python -m manifests.generate" in done.stdout
    assert generate(root=tmp_path, helm=helm).returncode == 0
    assert generate("--check", root=tmp_path, helm=helm).returncode == 0


def test_the_copies_of_the_definition_are_identical() -> None:
    copies = [ROOT / "manifests/crds/fastapiservices.yaml", OPERATOR / "files/fastapiservices.yaml"]
    assert len({path.read_text() for path in copies}) == 1
    (installed,) = [
        body
        for body in yaml.safe_load_all((ROOT / "manifests/install.yaml").read_text())
        if body["kind"] == "CustomResourceDefinition"
    ]
    assert installed == yaml.safe_load(copies[0].read_text())


def test_the_kustomize_bases_have_the_objects_of_install_yaml() -> None:
    def keys(bodies: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return sorted((body["kind"], body["metadata"]["name"]) for body in bodies)

    installed = list(yaml.safe_load_all((ROOT / "manifests/install.yaml").read_text()))
    assert keys(installed) == keys(list(_resources(ROOT / "manifests")))


def _resources(folder: Path) -> Iterator[dict[str, Any]]:
    for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]:
        if (folder / name).is_dir():
            yield from _resources(folder / name)
        else:
            yield from yaml.safe_load_all((folder / name).read_text())


def test_install_yaml_has_no_labels_of_helm() -> None:
    text = (ROOT / "manifests/install.yaml").read_text()
    assert "helm.sh" not in text
    assert "managed-by: Helm" not in text


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_a_service_without_problems(sample: Path) -> None:
    for body in load_services(sample.read_text()):
        service, problems = parse_service(body)
        assert service is not None
        assert problems == ()
        found = derive(service, Settings(), FACTS).problems
        assert [problem for problem in found if problem.severity is Severity.ERROR] == []


def test_the_samples_together_show_every_field() -> None:
    shown = {
        path
        for sample in SAMPLES
        for body in load_services(sample.read_text())
        for path in _paths(body["spec"])
    }
    assert set(_fields(Spec)) <= shown


def _paths(value: Any, path: str = "spec") -> Iterator[str]:
    yield path
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _paths(child, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item, path)


def _fields(model: type[Model], path: str = "spec") -> Iterator[str]:
    for name, field in fields_of(model):
        yield f"{path}.{name}"
        section = section_of(field.annotation)
        if section is not None:
            yield from _fields(section, f"{path}.{name}")
