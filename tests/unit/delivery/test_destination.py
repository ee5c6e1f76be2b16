"""Where an image goes: the kind of cluster, the registry, and the commands."""

from pathlib import Path

import pytest

from fastapi_operator.delivery import destination
from fastapi_operator.delivery.destination import DestinationError, LocalCluster

KIND = LocalCluster("kind", "dev")
PROVIDER = "minikube.sigs.k8s.io"


@pytest.mark.parametrize(
    ("context", "cluster", "provider", "expected"),
    [
        ("kind-dev", "kind-dev", "", KIND),
        ("renamed", "kind-dev", "", KIND),
        ("kind-dev", "renamed", "", KIND),
        ("k3d-shop", "k3d-shop", "", LocalCluster("k3d", "shop")),
        ("minikube", "minikube", "", LocalCluster("minikube", "minikube")),
        ("second", "second", PROVIDER, LocalCluster("minikube", "second")),
        ("production", "production", "", None),
        ("kindergarten", "kindergarten", "", None),
        ("gke_acme_kind-dev", "gke_acme_kind-dev", "", None),
    ],
)
def test_a_local_cluster_is_recognised(
    context: str, cluster: str, provider: str, expected: LocalCluster | None
) -> None:
    assert destination.local_cluster(context, cluster, provider) == expected


@pytest.mark.parametrize(
    ("given", "repository", "pushed"),
    [
        # An image for a local cluster needs no registry.
        ({"cluster": KIND, "image": "registry.example.com/shop:0.1.0"}, "localhost/shop", False),
        ({"cluster": KIND, "image": "ghcr.io/acme/shop:1@sha256:ab"}, "ghcr.io/acme/shop", False),
        ({"load": "x {}", "image": ""}, "localhost/shop", False),
        # A registry that is named is used with every cluster.
        ({"registry": "ghcr.io/acme", "cluster": KIND, "image": ""}, "ghcr.io/acme/shop", True),
        ({"registry": "localhost:5000/", "image": "a/b:1"}, "localhost:5000/shop", True),
        # That of the file.
        ({"image": "registry:5000/team/web:1.2"}, "registry:5000/team/web", True),
        ({"image": "registry:5000/team/web"}, "registry:5000/team/web", True),
    ],
)
def test_the_name_of_the_image(given: dict[str, object], repository: str, pushed: bool) -> None:
    found = destination.destination(service="shop", **given)  # type: ignore[arg-type]
    assert (found.repository, found.is_registry) == (repository, pushed)


@pytest.mark.parametrize("image", ["", "registry.example.com/shop:0.1.0", "shop:1"])
def test_an_unknown_registry_is_asked_for(image: str) -> None:
    with pytest.raises(DestinationError, match=r"--registry ghcr[.]io/acme"):
        destination.destination(service="shop", image=image)


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ({"cluster": KIND}, "kind load image-archive /t/i.tar --name dev"),
        ({"cluster": LocalCluster("k3d", "a")}, "k3d image import /t/i.tar --cluster a"),
        ({"cluster": LocalCluster("minikube", "a")}, "minikube image load /t/i.tar --profile a"),
        # A command of the user wins.
        (
            {"cluster": KIND, "load": "ctr -n k8s.io images import {}"},
            "ctr -n k8s.io images import /t/i.tar",
        ),
        ({"load": "sudo k3s ctr images import"}, "sudo k3s ctr images import /t/i.tar"),
    ],
)
def test_the_nodes_are_loaded_with_the_tool_of_the_cluster(
    options: dict[str, object], command: str
) -> None:
    found = destination.destination(service="shop", image="", **options)  # type: ignore[arg-type]
    assert " ".join(found.load_command(Path("/t/i.tar"))) == command
