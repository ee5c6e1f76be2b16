"""A real API server and etcd for the session, a namespace for each test, operators on demand."""

import os
from collections.abc import Iterator

import pytest

from fastapi_operator.reconcile.loop import observer
from tests.api.kube import Kube
from tests.api.world import World, install_crd, world_on
from tests.cluster.apiserver import ApiServer


@pytest.fixture(scope="session")
def server() -> Iterator[ApiServer]:
    """An API server without controllers: only the test and the operator change objects."""
    with ApiServer(f"api-{os.getpid()}") as running:
        kube = Kube(running.kubeconfig)
        install_crd(kube)
        yield running


@pytest.fixture(scope="session")
def controlled_server() -> Iterator[ApiServer]:
    """An API server with kube-controller-manager: it deletes garbage and rolls out Deployments."""
    with ApiServer(f"api-kcm-{os.getpid()}", controllers=True) as running:
        install_crd(Kube(running.kubeconfig))
        yield running


@pytest.fixture(autouse=True)
def unobserved(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pod is measured by chance while a test counts requests."""
    monkeypatch.setattr(observer, "TICK_SECONDS", 3600.0)


@pytest.fixture
def world(server: ApiServer) -> Iterator[World]:
    """A namespace on the API server without controllers."""
    with world_on(server) as found:
        yield found


@pytest.fixture
def controlled_world(controlled_server: ApiServer) -> Iterator[World]:
    """A namespace on the API server with controllers."""
    with world_on(controlled_server) as found:
        yield found
