"""The resource in kubectl: parsing of files, explanations, printed columns and scaling."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastapi_operator.api.crd import object_schema
from tests.api.kube import Kube
from tests.api.world import World
from tests.cluster.apiserver import ApiServer
from tests.unit.api.scalars import REFUSED, SCALARS

Kubectl = Callable[..., subprocess.CompletedProcess[str]]

HEAD = "apiVersion: fastapi-operator.io/v1alpha1\nkind: FastAPIService\n"


@pytest.fixture
def kubectl(server: ApiServer, tmp_path: object) -> Kubectl:
    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [server.programs / "kubectl", "--kubeconfig", server.kubeconfig, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            env={"HOME": str(tmp_path)},
        )

    return run


def test_kubectl_reads_scalars_as_in_the_table(kubectl: Kubectl) -> None:
    texts = list(SCALARS)
    documents = [
        f"{HEAD}metadata: {{name: n{index}}}\nvalue: {text}\n" for index, text in enumerate(texts)
    ]
    done = kubectl(
        *("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-"),
        text="---\n".join(documents),
    )
    assert done.returncode == 0, done.stderr
    decoder, rest, read = json.JSONDecoder(), done.stdout.strip(), {}
    while rest:
        body, end = decoder.raw_decode(rest)
        read[texts[len(read)]] = body.get("value")
        rest = rest[end:].strip()
    assert read == SCALARS
    assert {text: type(value) for text, value in read.items()} == {
        text: type(value) for text, value in SCALARS.items()
    }


@pytest.mark.parametrize("text", REFUSED)
def test_kubectl_cannot_send_values_that_the_table_refuses(kubectl: Kubectl, text: str) -> None:
    document = f"{HEAD}metadata: {{name: n}}\nvalue: {text}\n"
    done = kubectl("create", "--dry-run=client", "--validate=false", "-f", "-", text=document)
    assert done.returncode != 0


def described(node: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Every field below a node with its description; the items of a list represent themselves."""
    node = node.get("items", node)
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child.get("description", "")
        yield from described(child, f"{path}.{name}")


def test_the_api_server_explains_every_field_as_the_models_do(server: ApiServer) -> None:
    """``kubectl explain`` prints this document, so that each of its paths is covered."""
    answer = Kube(server.kubeconfig).request("GET", "/openapi/v3/apis/fastapi-operator.io/v1alpha1")
    (served,) = (
        schema
        for name, schema in answer["components"]["schemas"].items()
        if name.endswith(".FastAPIService")
    )
    for part in ("spec", "status"):
        ours = dict(described(object_schema()["properties"][part], part))
        assert dict(described(served["properties"][part], part)) == ours
        assert all(ours.values())
        assert len(ours) > 20


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "A FastAPI application with its database, cache, queue and proxy."),
        (".spec", "Desired state of the service. The operator derives every field that is absent."),
        (
            ".spec.postgres.pooler",
            "PgBouncer in transaction mode, between the database and the app",
        ),
        (".spec.postgres.pooler.engine", "ENUM: PgBouncer None"),
        (".spec.background.resources.limits.memory", "Memory in bytes"),
        (".status.tuning.reason", "Reason for the value."),
    ],
)
def test_kubectl_explain_is_readable_at_every_level(
    kubectl: Kubectl, path: str, words: str
) -> None:
    done = kubectl("explain", f"fastapiservice{path}")
    assert done.returncode == 0, done.stderr
    assert words in " ".join(done.stdout.split())


def tell(world: World, name: str, *, reason: str, url: str) -> None:
    """Writes the status that an operator would write."""
    world.kube.patch(
        f"{world.path('fastapiservices', name)}/status",
        {
            "status": {
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "False",
                        "reason": reason,
                        "message": "",
                        "observedGeneration": 1,
                        "lastTransitionTime": "2026-11-22T00:00:00Z",
                    }
                ],
                "observedGeneration": 1,
                "replicas": 1000,
                "tuning": [
                    {"name": "server.workers", "value": 64, "reason": "said", "source": "spec"}
                ],
                "url": url,
            }
        },
    )


def test_kubectl_get_fits_a_terminal(world: World, kubectl: Kubectl) -> None:
    world.apply("storefront-api")
    tell(world, "storefront-api", reason="WaitingForMigration", url="https://shop.example.com")
    lines = kubectl("get", "fas", "-n", world.namespace).stdout.splitlines()
    assert lines[0].split() == ["NAME", "READY", "REASON", "REPLICAS", "WORKERS", "URL", "AGE"]
    assert lines[1].split()[:6] == [
        "storefront-api",
        "False",
        "WaitingForMigration",
        "1000",
        "64",
        "https://shop.example.com",
    ]
    assert max(map(len, lines)) <= 100


def test_the_longest_name_leaves_all_columns_but_the_url_within_100(
    world: World, kubectl: Kubectl
) -> None:
    """The URL is as long as the user's own host, so it is in a column that pushes only the age."""
    world.apply("s" * 40)
    tell(world, "s" * 40, reason="WaitingForMigration", url="")
    lines = kubectl("get", "fas", "-n", world.namespace).stdout.splitlines()
    assert lines[0].index("URL") <= 100 - len("URL")


@pytest.mark.parametrize("before", [2, 0])
def test_kubectl_scale_sets_a_fixed_number(world: World, kubectl: Kubectl, before: int) -> None:
    world.apply(scaling={"replicas": before})
    done = kubectl("scale", "fas/shop", "--replicas=5", "-n", world.namespace)
    assert done.returncode == 0, done.stderr
    assert world.service()["spec"]["scaling"] == {"replicas": 5}


@pytest.mark.parametrize("autoscaled", [{"minReplicas": 2}, {"targetCpuPercent": 50}])
def test_kubectl_scale_explains_why_an_autoscaled_service_is_not_scaled(
    world: World, kubectl: Kubectl, autoscaled: dict[str, int]
) -> None:
    world.apply(scaling=autoscaled)
    done = kubectl("scale", "fas/shop", "--replicas=5", "-n", world.namespace)
    assert done.returncode != 0
    assert "spec.scaling.replicas" in done.stderr
    assert "to add pods to an autoscaled service at once, raise minReplicas" in done.stderr
    assert world.service()["spec"]["scaling"] == autoscaled


def test_kubectl_scale_sets_replicas_without_scaling(world: World, kubectl: Kubectl) -> None:
    """The API server cannot distinguish it from an edit; docs/reference/api.md has the way back."""
    world.apply()
    kubectl("scale", "fas/shop", "--replicas=5", "-n", world.namespace)
    assert world.service()["spec"]["scaling"] == {"replicas": 5}
    undo = '[{"op": "remove", "path": "/spec/scaling/replicas"}]'
    done = kubectl("patch", "fas", "shop", "--type=json", "-p", undo, "-n", world.namespace)
    assert done.returncode == 0, done.stderr
    assert world.service()["spec"]["scaling"] == {}
