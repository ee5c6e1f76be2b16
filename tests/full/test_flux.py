"""A real Flux kustomize-controller applies a service, waits for it, and fails with it.

Only Flux's source-controller is missing: the test serves the archive itself and reports it in
the status of the GitRepository.
"""

import functools
import hashlib
import http.server
import io
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.kube import Kube
from tests.api.world import World, eventually, install_crd, world_on
from tests.charts.conftest import ROOT
from tests.cluster.apiserver import ApiServer
from tests.judges import modules, programs

pytestmark = pytest.mark.api

_MODULES = (modules.FLUX, modules.FLUX_SOURCES)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """An HTTP server on loopback for the files of a folder; its address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Yields a namespace of an API server with the definitions of services and Flux's."""
    with ApiServer(f"flux-{os.getpid()}") as server:
        kube = Kube(server.kubeconfig)
        install_crd(kube)
        for body in (body for module in _MODULES for body in modules.definitions(module)):
            name = body["metadata"]["name"]
            kube.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}", body)
        sources = "/apis/source.toolkit.fluxcd.io/v1/gitrepositories"
        kustomizations = "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations"
        eventually(lambda: kube.get(sources) and kube.get(kustomizations))
        options = ("metrics-addr=127.0.0.1:0", "health-addr=127.0.0.1:0", "log-level=debug")
        with (
            (tmp_path / "flux.log").open("w") as log,
            subprocess.Popen(
                [
                    programs.program("kustomize-controller", of="flux"),
                    *(f"--{option}" for option in options),
                ],
                env={
                    **os.environ,
                    "KUBECONFIG": str(server.kubeconfig),
                    "RUNTIME_NAMESPACE": "default",
                    "TMPDIR": str(tmp_path),
                },
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                with world_on(server) as found:
                    yield found
            finally:
                process.terminate()


class Repository:
    """The folder of services as Flux sees it."""

    def __init__(self, world: World, folder: Path, address: str) -> None:
        self._world, self._folder, self._address = world, folder, address
        self._commits = 0
        self._path = (
            f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{world.namespace}/gitrepositories"
        )
        spec = {"interval": "1h", "url": "https://git.example.com/platform/services"}
        world.kube.request("POST", self._path, self._body(spec=spec))

    def push(self, **spec: Any) -> None:
        """Commits this service."""
        self._commits += 1
        service = {
            "apiVersion": "fastapi-operator.io/v1alpha1",
            "kind": "FastAPIService",
            "metadata": {"name": "shop"},
            "spec": {"image": "registry.example.com/shop:1", **spec},
        }
        name = f"{self._commits}.tar.gz"
        with tarfile.open(self._folder / name, "w:gz") as archive:
            text = yaml.safe_dump(service).encode()
            entry = tarfile.TarInfo("services/shop.yaml")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        digest = hashlib.sha256((self._folder / name).read_bytes()).hexdigest()
        artifact = {
            "path": name,
            "url": f"{self._address}/{name}",
            "revision": f"main@sha1:{self._commits:040}",
            "digest": f"sha256:{digest}",
            "lastUpdateTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        path = f"{self._path}/services/status"
        self._world.kube.patch(path, {"status": {"artifact": artifact}})

    def _body(self, **more: Any) -> dict[str, Any]:
        return {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": {"name": "services", "namespace": self._world.namespace},
            **more,
        }


def kustomization(world: World) -> str:
    """The shipped Kustomization in the test's namespace, without the one that it depends on."""
    text = (ROOT / "manifests/gitops/flux/services.yaml").read_text()
    _, body = yaml.safe_load_all(text)
    body["metadata"]["namespace"] = body["spec"]["targetNamespace"] = world.namespace
    del body["spec"]["dependsOn"]
    path = f"/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{world.namespace}/kustomizations"
    world.kube.request("POST", path, body)
    return f"{path}/services"


def test_flux_waits_for_a_service_and_fails_with_it(world: World, tmp_path: Path) -> None:
    def ready(path: str) -> dict[str, Any]:
        conditions = (world.kube.get(path) or {}).get("status", {}).get("conditions") or []
        return next((one for one in conditions if one["type"] == "Ready"), {})

    served = tmp_path / "served"
    served.mkdir()
    with serving(served) as address:
        repository = Repository(world, served, address)
        repository.push()
        path = kustomization(world)
        # Applied, but no operator runs: not healthy.
        eventually(lambda: world.get("fastapiservices", "shop"), within=60)
        time.sleep(5)
        assert ready(path).get("status") != "True", ready(path)

        world.start(build=build_desired_state)
        world.until_ready()
        eventually(lambda: ready(path).get("status") == "True", within=60)

        repository.push(profile="unknown")
        failed = eventually(
            lambda: ready(path) if ready(path).get("status") == "False" else None, within=60
        )
        assert failed["reason"] == "HealthCheckFailed"
        assert "FastAPIService" in failed["message"]

        repository.push(port=9000)
        world.until_ready(within=60)
        eventually(lambda: ready(path).get("status") == "True", within=60)
