"""Exposure against the Gateway API and cert-manager's at their real schemas, and a real Traefik."""

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator.cluster.kinds import owned_kind
from fastapi_operator.reconcile.plan import desired_state
from tests import traefik
from tests.api.definitions import DEFINITIONS
from tests.api.kube import Kube, RefusedError
from tests.api.world import World, eventually, install_crd, world_on
from tests.cluster.apiserver import ApiServer
from tests.golden.cases import load

_GATEWAYS = "/apis/gateway.networking.k8s.io/v1"


@pytest.fixture(scope="module")
def equipped() -> Iterator[ApiServer]:
    """An API server that has the Gateway API and cert-manager's definitions."""
    with ApiServer(f"api-exposure-{os.getpid()}") as server:
        kube = Kube(server.kubeconfig)
        install_crd(kube)
        bodies = traefik.definitions(traefik.GATEWAY_API, "config/crd/standard")
        bodies += traefik.definitions(traefik.CERT_MANAGER, "deploy/crds")
        for body in bodies:
            kube.apply(f"{DEFINITIONS}/{body['metadata']['name']}", body)
        eventually(lambda: kube.get(f"{_GATEWAYS}/httproutes"))
        eventually(lambda: kube.get("/apis/cert-manager.io/v1/certificates"))
        yield server


@pytest.fixture
def world(equipped: ApiServer) -> Iterator[World]:
    """A namespace in which the operator creates its objects of every service."""
    with world_on(equipped) as found:
        yield found


CASES = ["gateway", "gateway-timeouts", "entries", "ingress", "loadbalancer", "certificate"]


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_valid_to_the_last_field(world: World, case: str) -> None:
    for desired in load(f"exposure-{case}").objects:
        body: dict[str, Any] = copy.deepcopy(dict(desired.body))
        body["metadata"]["namespace"] = world.namespace
        kind = owned_kind(desired.key.group, desired.key.kind)
        path = kind.path(world.namespace, desired.key.name)
        if case == "gateway-timeouts" and desired.key.kind == "HTTPRoute":
            # The standard channel of this release has no retries.
            with pytest.raises(RefusedError, match="retry"):
                world.kube.apply(path, body, force="true", dryRun="All")
            assert body["spec"]["rules"][1].pop("retry")
        world.kube.apply(path, body, force="true", dryRun="All")


def test_traefik_accepts_the_route_in_its_status(world: World, tmp_path: Path) -> None:
    with traefik.running(world.kubeconfig, tmp_path / "traefik.log") as port:
        world.kube.apply(f"{_GATEWAYS}/gatewayclasses/traefik", traefik.GATEWAY_CLASS)
        gateway = traefik.gateway(world.namespace, port, "*.example.com")
        path = f"{_GATEWAYS}/namespaces/{world.namespace}/gateways/public"
        world.kube.apply(path, gateway)
        world.start(build=desired_state.build_desired_state)
        # A controller that may not have such timeouts serves the route nevertheless.
        exposure = {"gateway": {"name": "public", "timeouts": {}}}
        world.apply(exposure=exposure | {"hosts": ["shop.example.com"]})
        world.kube.request("POST", _slices(world), _no_endpoints())
        eventually(lambda: world.condition("ExposureReady").get("status") == "True")
        world.until_ready()
        assert world.service()["status"]["url"] == "http://shop.example.com"

        world.apply(exposure=exposure | {"hosts": ["shop.example.org"]})
        eventually(
            lambda: world.condition("ExposureReady").get("reason") == "NoMatchingListenerHostname"
        )
        assert not world.is_ready()
        assert world.condition("Ready")["reason"] == "NoMatchingListenerHostname"


def test_a_route_reports_its_missing_gateway(world: World) -> None:
    world.start(build=desired_state.build_desired_state)
    world.apply(exposure={"hosts": ["shop.example.com"], "gateway": {"name": "absent"}})
    eventually(lambda: world.condition("ExposureReady").get("reason") == "NotAccepted")
    assert f"{world.namespace}/absent" in world.condition("ExposureReady")["message"]


def test_a_route_has_the_fields_that_the_cluster_knows(world: World) -> None:
    world.start(build=desired_state.build_desired_state, settings={"discovery_seconds": 5})
    gateway = {"name": "public", "timeouts": {}, "retry": {}}
    world.apply(exposure={"hosts": ["shop.example.com"], "gateway": gateway})
    path = f"{_GATEWAYS}/namespaces/{world.namespace}/httproutes/shop"

    def rules() -> list[dict[str, Any]]:
        return (world.kube.get(path) or {"spec": {"rules": []}})["spec"]["rules"]

    (rule,) = eventually(rules)
    assert rule["timeouts"] == {"request": "40s", "backendRequest": "35s"}
    problems = eventually(lambda: world.service()["status"].get("problems"))
    assert [item["path"] for item in problems] == ["spec.exposure.gateway.retry"]
    # The experimental channel has retries, and the next discovery finds them.
    apply_routes(world, "experimental")
    try:
        first, _ = eventually(lambda: len(rules()) == 2 and rules(), within=60)
        assert first["retry"] == {"attempts": 1, "codes": [502], "backoff": "50ms"}
        assert [match["method"] for match in first["matches"]] == ["GET", "HEAD"]
        eventually(lambda: not world.service()["status"].get("problems"))
    finally:
        apply_routes(world, "standard")


def apply_routes(world: World, channel: str) -> None:
    """Installs the definition of HTTPRoutes of a channel."""
    for body in traefik.definitions(traefik.GATEWAY_API, f"config/crd/{channel}"):
        if body["metadata"]["name"].startswith("httproutes."):
            path = f"{DEFINITIONS}/{body['metadata']['name']}"
            world.kube.apply(path, body, force="true")


def test_a_certificate_is_awaited_and_removed(world: World) -> None:
    world.start(build=desired_state.build_desired_state)
    hosts = {"hosts": ["shop.example.com"], "ingress": {}}
    world.apply(exposure=hosts | {"tls": {"issuer": {"name": "letsencrypt"}}})
    eventually(lambda: world.condition("ExposureReady").get("reason") == "NotIssued")
    path = owned_kind("cert-manager.io", "Certificate").path(world.namespace, "shop-tls")
    condition = {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 1,
        "reason": "Ready",
        "message": "",
        "lastTransitionTime": "2026-11-22T00:00:00Z",
    }
    world.kube.patch(f"{path}/status", {"status": {"conditions": [condition]}})
    world.until_ready()
    assert world.service()["status"]["url"] == "https://shop.example.com"
    # The certificate of the former hosts does not serve the new ones.
    tls = {"ingress": {}, "tls": {"issuer": {"name": "letsencrypt"}}}
    world.apply(exposure=tls | {"hosts": ["new.example.com"]})
    eventually(lambda: world.condition("ExposureReady").get("reason") == "NotIssued")
    world.apply(exposure=hosts)
    eventually(lambda: world.kube.get(path) is None)


def test_an_entry_has_its_objects_and_its_address_in_the_status(world: World) -> None:
    world.start(build=desired_state.build_desired_state)
    admin = {"name": "admin", "hosts": ["admin.example.com"], "paths": ["/admin"]}
    entries = [admin | {"ingress": {"className": "internal"}}, {"name": "jobs"}]
    main = {"hosts": ["shop.example.com"], "ingress": {"className": "public"}}
    world.apply(exposure=main | {"privatePaths": ["/admin"], "entries": entries})
    world.until_ready()
    assert world.service()["status"]["url"] == "http://shop.example.com"
    assert world.service()["status"]["entries"] == [
        {"name": "admin", "url": "http://admin.example.com/admin"},
        {"name": "jobs", "url": f"http://shop-entry-jobs.{world.namespace}.svc"},
    ]
    ingress = owned_kind("networking.k8s.io", "Ingress")
    route = world.kube.get(ingress.path(world.namespace, "shop-entry-admin"))
    assert route is not None
    assert route["spec"]["ingressClassName"] == "internal"
    world.apply(exposure=main)
    eventually(lambda: world.kube.get(ingress.path(world.namespace, "shop-entry-admin")) is None)
    eventually(lambda: world.get("services", "shop-entry-jobs") is None)
    eventually(lambda: "entries" not in world.service()["status"])


def test_a_removed_exposure_leaves_no_objects(world: World) -> None:
    world.start(build=desired_state.build_desired_state)
    world.apply(exposure={"hosts": ["shop.example.com"], "ingress": {"className": "traefik"}})
    world.until_ready()
    path = owned_kind("networking.k8s.io", "Ingress").path(world.namespace, "shop")
    assert world.kube.get(path) is not None
    # No controller serves the class here, and many report nothing.
    assert "for the class traefik" in world.condition("ExposureReady")["message"]
    world.apply()
    eventually(lambda: world.kube.get(path) is None)
    eventually(lambda: not world.condition("ExposureReady"))
    assert world.service()["status"]["url"] == f"http://shop.{world.namespace}.svc"


def _slices(world: World) -> str:
    return f"/apis/discovery.k8s.io/v1/namespaces/{world.namespace}/endpointslices"


def _no_endpoints() -> dict[str, Any]:
    """The objects that the controller of Services writes while no pod is ready, for Traefik."""
    labels = {"kubernetes.io/service-name": "shop"}
    metadata = {"name": "shop-1", "labels": labels}
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": [], "ports": []}
