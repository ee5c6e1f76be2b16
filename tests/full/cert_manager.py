"""cert-manager's controllers on the node, without its webhook."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import instances, processes
from tests.full.conftest import NODE
from tests.judges import controllers, modules
from tests.kubectl import Kubectl, eventually

_GROUP = "cert-manager.io/v1"


def require() -> None:
    """Skips the test if cert-manager is not built."""
    if controllers.built("cert-manager") is None:
        pytest.skip("cert-manager is not built; `make judges` builds it")


@contextlib.contextmanager
def running(kubectl: Kubectl) -> Iterator[None]:
    """Installs the definitions and runs the controllers; afterwards both are removed."""
    folder, instance = controllers.built("cert-manager"), instances.find(NODE)
    assert folder is not None and instance is not None
    module = modules.CERT_MANAGER
    definitions = str(modules.folder(module) / modules.DEFINITIONS[module])
    node = processes.Processes(instance.state)
    kubectl("apply", "--server-side", "-f", definitions)
    try:
        kubectl("wait", "--for=condition=Established", "-f", definitions)
        node.start(
            "cert-manager",
            [folder / "cert-manager", instance.kubeconfig],
            network_namespace=instance.network_namespace,
        )
        yield
        assert node.is_running("cert-manager"), node.log("cert-manager").read_text()[-2000:]
    finally:
        node.stop("cert-manager", grace_seconds=5)
        kubectl("delete", "--ignore-not-found", "--wait=false", "-f", definitions)


def issuer(name: str, namespace: str) -> list[dict[str, Any]]:
    """An issuer with an authority of its own, whose certificate is in a Secret of its name."""
    metadata = {"name": name, "namespace": namespace}
    root = {"name": f"{name}-root", "namespace": namespace}
    authority = {
        "isCA": True,
        "commonName": name,
        "secretName": name,
        "issuerRef": {"name": root["name"], "kind": "Issuer"},
    }
    return [
        {"apiVersion": _GROUP, "kind": "Issuer", "metadata": root, "spec": {"selfSigned": {}}},
        {"apiVersion": _GROUP, "kind": "Certificate", "metadata": metadata, "spec": authority},
        {
            "apiVersion": _GROUP,
            "kind": "Issuer",
            "metadata": metadata,
            "spec": {"ca": {"secretName": name}},
        },
    ]


def renew(kubectl: Kubectl, name: str, namespace: str) -> None:
    """Requests a new certificate, as ``cmctl renew`` does, and waits until it is issued."""

    def revision() -> int:
        found = kubectl.json("get", "certificate", name, "-n", namespace)
        return int(found["status"].get("revision", 0))

    before = revision()
    found = kubectl.json("get", "certificate", name, "-n", namespace)
    found["status"]["conditions"].append(
        {
            "type": "Issuing",
            "status": "True",
            "reason": "ManuallyTriggered",
            "message": "a test",
            "lastTransitionTime": found["status"]["notBefore"],
        }
    )
    kubectl.apply_status(found)
    eventually(lambda: revision() > before, seconds=60, what=f"a new certificate of {name}")
