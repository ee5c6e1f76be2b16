"""CloudNativePG's own operator on the node, with Debian's PostgreSQL as its instances."""

import contextlib
import json
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import buildah
from tests.cluster.node import Node
from tests.judges import controllers, modules
from tests.kubectl import Kubectl, KubectlError, eventually

NAMESPACE = "cnpg-system"
# Its tag is the version of the instances.
INSTANCES = "registry.example.com/postgresql:18.6"
_VERSION = modules.CLOUDNATIVE_PG.partition("@v")[2]
_OPERATOR = f"ghcr.io/cloudnative-pg/cloudnative-pg:{_VERSION}"
_DEPLOYMENT = "deployment/cnpg-controller-manager"


def require() -> None:
    """Skips the test if CloudNativePG is not built."""
    if controllers.built("cloudnative-pg") is None:
        pytest.skip("cloudnative-pg is not built; `make judges` builds it")


@contextlib.contextmanager
def running(node: Node, kubectl: Kubectl) -> Iterator[None]:
    """Installs its release manifest; afterwards all of it is removed, after its Clusters."""
    _load_images(node)
    objects = list(_manifest())
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl("apply", "--server-side", "-f", "-", stdin=text)
    try:
        kubectl("rollout", "status", _DEPLOYMENT, "-n", NAMESPACE, "--timeout=120s")
        yield
        # It was not killed meanwhile.
        kubectl("wait", _DEPLOYMENT, "-n", NAMESPACE, "--for=condition=Available", "--timeout=60s")
    finally:
        for kind in ("fastapiservices", "clusters.postgresql.cnpg.io"):
            # The first kind is missing if the test ended before its operator was installed.
            with contextlib.suppress(KubectlError):
                kubectl("delete", kind, "--all", "--all-namespaces", "--timeout=90s")
        kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=text)


def cluster(kubectl: Kubectl, name: str, namespace: str) -> dict[str, Any]:
    """A Cluster as it is."""
    return kubectl.json("get", "clusters.postgresql.cnpg.io", name, "-n", namespace)


def primary(kubectl: Kubectl, name: str, namespace: str) -> str:
    """The instance that accepts writes."""
    return str(cluster(kubectl, name, namespace)["status"]["currentPrimary"])


def is_healthy(kubectl: Kubectl, name: str, namespace: str) -> bool:
    """Whether all instances are ready and no change of the primary is under way."""
    status = cluster(kubectl, name, namespace).get("status", {})
    return bool(
        status.get("phase") == "Cluster in healthy state"
        and status.get("currentPrimary") == status.get("targetPrimary")
        and status.get("readyInstances") == status.get("instances")
    )


def promote(kubectl: Kubectl, name: str, instance: str, namespace: str) -> None:
    """Requests a switchover, as ``kubectl cnpg promote`` does."""
    status = {"targetPrimary": instance, "phase": "Switchover in progress", "phaseReason": "a test"}
    patch = json.dumps({"status": status})
    kubectl(
        *("patch", "clusters.postgresql.cnpg.io", name, "-n", namespace),
        *("--subresource=status", "--type=merge", "-p", patch),
    )
    changed = f"{instance} is the primary"
    eventually(lambda: primary(kubectl, name, namespace) == instance, seconds=60, what=changed)


def _load_images(node: Node) -> None:
    node.build_images(["cloudnative-pg"])
    node.name_image("cloudnative-pg", INSTANCES)
    folder = controllers.built("cloudnative-pg")
    assert folder is not None
    with tempfile.TemporaryDirectory() as temporary:
        root, archive = Path(temporary) / "root.tar", Path(temporary) / "operator.tar"
        with tarfile.open(root, "w") as tar:
            tar.add(folder / "manager", "operator/manager_amd64")
            link = tarfile.TarInfo("manager")
            link.type, link.linkname = tarfile.SYMTYPE, "/operator/manager_amd64"
            tar.addfile(link)
        stored = "localhost/fastapi-operator/cloudnative-pg-operator:latest"
        buildah.from_archive(root, stored)
        buildah.save(stored, archive, _OPERATOR)
        node.load_images([str(archive)])


def _manifest() -> Iterator[dict[str, Any]]:
    """Its objects; only images, and the limit of 0.1 CPU for the operator, are not its own."""
    path = modules.folder(modules.CLOUDNATIVE_PG) / f"releases/cnpg-{_VERSION}.yaml"
    for body in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
        if body["kind"] == "Deployment":
            (container,) = body["spec"]["template"]["spec"]["containers"]
            container["imagePullPolicy"] = "Never"
            container["env"].append({"name": "POSTGRES_IMAGE_NAME", "value": INSTANCES})
            del container["resources"]["limits"]["cpu"]
        yield body
