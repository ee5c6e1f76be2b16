"""Exposure against the Gateway API and cert-manager's at their real schemas, and a real Traefik."""

import base64
import copy
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import owned_kind
from fastapi_operator.judge.verdict import Action
from fastapi_operator.reconcile.loop import reconciler, status_writer
from fastapi_operator.reconcile.plan import desired_state
from tests import traefik
from tests.api.definitions import DEFINITIONS
from tests.api.kube import Kube, RefusedError
from tests.api.test_canary import CANARY, NEW, Judge, canary, hurry
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


CASES = [
    "exposure-gateway",
    "exposure-gateway-timeouts",
    "exposure-entries",
    "exposure-ingress",
    "exposure-loadbalancer",
    "exposure-certificate",
    "canary-gateway",
]


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_valid_to_the_last_field(world: World, case: str) -> None:
    for desired in load(case).objects:
        body: dict[str, Any] = copy.deepcopy(dict(desired.body))
        body["metadata"]["namespace"] = world.namespace
        kind = owned_kind(desired.key.group, desired.key.kind)
        path = kind.path(world.namespace, desired.key.name)
        if case == "exposure-gateway-timeouts" and desired.key.kind == "HTTPRoute":
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


@pytest.mark.parametrize(
    "edge", [{"ingress": {"className": "public"}}, {"gateway": {"name": "public"}}]
)
def test_the_younger_of_two_services_with_the_same_host_names_the_other(
    world: World, edge: dict[str, Any]
) -> None:
    def problems(name: str) -> list[str]:
        found = world.service(name).get("status", {}).get("problems", [])
        return [item["message"] for item in found if item["path"] == "spec.exposure"]

    operator = world.start(build=desired_state.build_desired_state)
    hosts = {"hosts": ["shop.example.com", "shop.example.org"]}
    world.apply("older", exposure=edge | hosts)
    kind = "ingresses" if "ingress" in edge else "httproutes"
    group = "networking.k8s.io" if "ingress" in edge else "gateway.networking.k8s.io"
    path = f"/apis/{group}/v1/namespaces/{world.namespace}/{kind}/older"
    eventually(lambda: world.kube.get(path))
    time.sleep(1.1)  # times of Kubernetes have a resolution of a second
    world.apply("apart", exposure=edge | {"hosts": ["apart.example.com"]})
    world.apply("younger", exposure=edge | {"hosts": ["shop.example.com", "new.example.com"]})
    for restarted in (False, True):
        if restarted:
            operator.stop()
            world.start(build=desired_state.build_desired_state)
        (message,) = eventually(lambda: problems("younger"))
        assert "public" in message
        assert "gives shop.example.com/ to the older service" in message
        assert f"{world.namespace}/older" in message
        assert problems("older") == problems("apart") == []
    world.apply("older", exposure=edge | {"hosts": ["shop.example.org"]})
    eventually(lambda: not problems("younger"))


def certificate(world: World, name: str, labels: dict[str, str], **values: str) -> None:
    """Applies a Secret as a user does who does not set its type."""
    metadata = {"name": name, "namespace": world.namespace, "labels": labels}
    data = {key: base64.b64encode(text.encode()).decode() for key, text in values.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    world.kube.apply(world.path("secrets", name), body, force="true")


def test_an_ingress_without_its_certificate_has_a_problem(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault() -> str:
        found = world.service().get("status", {}).get("problems", [])
        path = "spec.exposure.tls.secretName"
        return next((item["message"] for item in found if item["path"] == path), "")

    # A Secret without the label is read now and then.
    monkeypatch.setattr(reconciler, "UNWATCHED_READ_SECONDS", 1.0)
    monkeypatch.setattr(reconciler, "UNWATCHED_VALID_SECONDS", 2.0)
    monkeypatch.setattr(status_writer, "PROGRESS_SECONDS", 0.5)
    key, chain = tmp_path / "key", tmp_path / "chain"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=shop"]
    subprocess.run([*new, "-keyout", key, "-out", chain], check=True, capture_output=True)
    valid = {"tls.crt": chain.read_text(), "tls.key": key.read_text()}
    cut = valid | {"tls.crt": valid["tls.crt"].replace("\n-----END", "=\n-----END")[30:]}
    world.start(build=desired_state.build_desired_state)
    ingress = {"hosts": ["shop.example.com"], "ingress": {}}
    world.apply(exposure=ingress | {"tls": {"secretName": "mine"}})
    for labels in ({naming.WATCHED_LABEL: "true"}, {}):
        eventually(lambda: "Secret mine does not exist" in fault())
        certificate(world, "mine", labels, **{"tls.crt": valid["tls.crt"]})
        eventually(lambda: "has no tls.key" in fault())
        certificate(world, "mine", labels, **cut)
        eventually(lambda: "has no certificate in PEM format in tls.crt" in fault())
        certificate(world, "mine", labels, **valid)
        eventually(lambda: not fault())
        world.kube.delete(world.path("secrets", "mine"))
    eventually(lambda: "Secret mine does not exist" in fault())
    world.apply(exposure=ingress | {"tls": {"issuer": {"name": "letsencrypt"}}})
    eventually(lambda: not fault())


def test_without_a_proxy_the_gateway_divides_the_requests_of_a_canary(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    path = f"{_GATEWAYS}/namespaces/{world.namespace}/httproutes/shop"

    def weights() -> dict[str, int]:
        """The weights in the route, which a controller accepts."""
        route = world.kube.get(path)
        if route is None:
            return {}
        status = {"parents": [_accepted(route)]}
        world.kube.patch(f"{path}/status", {"status": status})
        (rule,) = route["spec"]["rules"]
        assert rule["filters"][0]["requestHeaderModifier"] == {"remove": ["X-Version"]}
        return {to["name"]: to["weight"] for to in rule["backendRefs"]}

    def reached(share: int) -> bool:
        world.finish_rollouts()
        found = weights()
        expected = {"shop": 100 - share, "shop-canary": share} if share else {"shop": 1}
        return found == expected

    judge = Judge({NEW: Action.WAIT})
    spec = {
        "proxy": {"engine": "None"},
        "exposure": {"hosts": ["shop.example.com"], "gateway": {"name": "public"}},
        "rollout": {"canary": {**CANARY, "versionHeader": "X-Version"}},
    }
    world.start(build=desired_state.build_desired_state, looks=judge)
    world.apply(**spec)
    eventually(lambda: reached(0) and world.is_ready())
    world.apply(image=NEW, **spec)
    # A Gateway that gets the share must find pods at once.
    service = eventually(lambda: world.get("services", "shop-canary"))
    assert service["spec"]["selector"]["fastapi-operator.io/canary"] != "none"
    eventually(lambda: reached(10))
    # Without a ready pod, no other one would serve its share.
    deployment = world.get("deployments", "shop-canary")
    assert deployment is not None
    status = {"availableReplicas": 0, "readyReplicas": 0, "unavailableReplicas": 1}
    world.kube.patch(f"{world.path('deployments', 'shop-canary')}/status", {"status": status})
    eventually(lambda: weights() == {"shop": 1})
    judge.actions[NEW] = Action.ADVANCE
    eventually(lambda: reached(50), within=40)
    judge.actions[NEW] = Action.ABORT
    eventually(lambda: weights() == {"shop": 1})
    # Its pods end after the Gateway had time to read the route, and keep their Service until then.
    service = world.get("services", "shop-canary")
    assert service is not None
    assert service["spec"]["selector"]["fastapi-operator.io/canary"] != "none"
    assert world.get("deployments", "shop-canary") is not None
    eventually(lambda: world.get("deployments", "shop-canary") is None, within=40)
    assert eventually(lambda: canary(world).get("phase") == "Aborted")
    assert world.condition("Ready")["status"] == "True"


def _accepted(route: dict[str, Any]) -> dict[str, Any]:
    """The status of a route that its Gateway has accepted at its newest generation."""
    condition = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "lastTransitionTime": "2026-12-01T00:00:00Z",
        "observedGeneration": route["metadata"]["generation"],
    }
    return {
        "parentRef": {"name": "public", "namespace": route["metadata"]["namespace"]},
        "controllerName": "example.com/gateways",
        "conditions": [condition],
    }
