"""The files for other tools: complete, valid, and true to the operator."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from fastapi_operator.api.parse import parse_service
from manifests import packages
from tests.docs.blocks import ROOT

BUNDLE = ROOT / "manifests/olm"
SERVICE = """\
apiVersion: fastapi-operator.io/v1alpha1
kind: FastAPIService
metadata: {name: shop}
spec: {image: "shop:1.4.2", app: "shop.main:app", scaling: {maxReplicas: %s}}
"""


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def bundled() -> dict[str, Any]:
    files = (BUNDLE / "manifests").glob("*.yaml")
    return {body["kind"]: body for body in map(yaml.safe_load, (f.read_text() for f in files))}


def test_the_bundle_of_olm_grants_and_runs_what_the_chart_does() -> None:
    version = bundled()["ClusterServiceVersion"]
    strategy = version["spec"]["install"]["spec"]
    (granted,) = strategy["clusterPermissions"]
    role = load("manifests/rbac/clusterrole-fastapi-operator.yaml")
    assert granted["rules"] == role["rules"]
    assert (
        granted["serviceAccountName"]
        == (strategy["deployments"][0]["spec"]["template"]["spec"]["serviceAccountName"])
    )
    (owned,) = version["spec"]["customresourcedefinitions"]["owned"]
    definition = bundled()["CustomResourceDefinition"]
    assert owned["name"] == definition["metadata"]["name"]
    assert owned["version"] == definition["spec"]["versions"][0]["name"]


def test_the_bundle_of_olm_depends_on_no_namespace() -> None:
    for path in (BUNDLE / "manifests").glob("*.yaml"):
        assert "fastapi-operator-system" not in path.read_text(), path
    (container,) = bundled()["ClusterServiceVersion"]["spec"]["install"]["spec"]["deployments"][0][
        "spec"
    ]["template"]["spec"]["containers"]
    assert "--lease-namespace=$(POD_NAMESPACE)" in container["args"]


def test_the_bundle_of_olm_has_the_labels_of_its_annotations() -> None:
    annotations = load("manifests/olm/metadata/annotations.yaml")["annotations"]
    dockerfile = (BUNDLE / "bundle.Dockerfile").read_text()
    assert dict(re.findall(r"^LABEL (\S+)=(\S+)$", dockerfile, re.MULTILINE)) == annotations
    examples = bundled()["ClusterServiceVersion"]["metadata"]["annotations"]["alm-examples"]
    for example in json.loads(examples):
        assert parse_service(example)[0] is not None


def properties(schema: Any) -> Any:
    """The names of all fields, by section."""
    return {name: properties(inner) for name, inner in schema.get("properties", {}).items()}


def test_the_schema_of_editors_has_every_field_and_no_other() -> None:
    schema = json.loads((ROOT / "manifests/editor/fastapiservice.schema.json").read_text())
    crd = load("manifests/crds/fastapiservices.yaml")["spec"]["versions"][0]["schema"]
    assert properties(schema["properties"]["spec"]) == (
        properties(crd["openAPIV3Schema"]["properties"]["spec"])
    )
    assert schema["properties"]["spec"]["additionalProperties"] is False
    entry = json.loads((ROOT / "manifests/editor/schemastore.json").read_text())
    assert entry["url"] == schema["$id"]


@pytest.mark.parametrize("parts", [True, False])
def test_the_template_of_backstage_becomes_a_valid_service(parts: bool) -> None:
    template = load("manifests/backstage/template.yaml")
    values = template["spec"]["steps"][0]["input"]["values"]
    known = {"name": "shop", "owner": "team", "image": "shop:1.4.2", "app": "shop.main:app"}
    known |= {"postgres": parts, "redis": parts}
    assert values == {name: f"${{{{ parameters.{name} }}}}" for name in known}
    environment = jinja2.Environment(variable_start_string="${{", undefined=jinja2.StrictUndefined)
    skeleton = ROOT / "manifests/backstage/skeleton"
    for path in skeleton.iterdir():
        body = yaml.safe_load(environment.from_string(path.read_text()).render(values=known))
        if body["kind"] == "FastAPIService":
            service, problems = parse_service(body)
            assert service is not None, problems
            assert (service.spec.postgres is not None) == parts


def test_the_definition_of_kro_uses_fields_of_the_service() -> None:
    body = load("manifests/kro/shop.yaml")
    (service,) = body["spec"]["resources"]
    template = service["template"]
    fields = body["spec"]["schema"]["spec"]
    assert template["spec"]["image"] == "${schema.spec.image}"
    assert template["spec"]["app"] == "${schema.spec.app}"
    template["metadata"]["name"] = "shop"
    template["spec"] |= {"image": "shop:1.4.2", "app": fields["app"].partition('"')[2].strip('"')}
    parsed, problems = parse_service(template)
    assert parsed is not None, problems


def test_a_release_has_a_krew_manifest_and_a_formula_for_its_archive(tmp_path: Path) -> None:
    wheel = tmp_path / "fastapi_operator-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    packed = packages.archive(wheel)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(tmp_path, filter="data")
    assert os.access(tmp_path / "kubectl-fastapi/kubectl-fastapi", os.X_OK)
    made = packages.files(packed)
    digest = hashlib.sha256(packed).hexdigest()
    plugin = yaml.safe_load(made["fastapi.yaml"])["spec"]
    assert plugin["version"] == f"v{load('charts/fastapi-operator/Chart.yaml')['version']}"
    assert len(plugin["shortDescription"]) <= 50
    assert {platform["sha256"] for platform in plugin["platforms"]} == {digest}
    assert f'sha256 "{digest}"' in made["fastapi-operator.rb"]


def test_the_hook_of_pre_commit_runs_a_command() -> None:
    (hook,) = load(".pre-commit-hooks.yaml")
    assert hook["entry"] == "fastapi-operator validate"
    assert re.search(hook["files"], "deploy/shop.fastapiservice.yaml")


def test_the_review_of_a_pull_request_shows_changed_numbers(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    service = tmp_path / "shop.yaml"
    service.write_text(SERVICE % 4)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "before")
    service.write_text(SERVICE % 6)
    tools = Path(sys.executable).parent
    (tmp_path / "new.yaml").write_text(SERVICE % '"many"')
    done = subprocess.run(
        [sys.executable, ROOT / ".github/actions/review/report.py", "--base", "HEAD", "--what-if",
         "server.threads=20", "shop.yaml", "new.yaml"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "#### `shop.yaml`: valid" in done.stdout
    assert "| shop | scaling.max_replicas | 4 pods | 6 pods | set by" in done.stdout
    assert "What if server.threads=20" in done.stdout
    assert "#### `new.yaml`: **invalid**" in done.stdout
