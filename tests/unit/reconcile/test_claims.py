"""Which objects claim the same host and path."""

from typing import Any

from fastapi_operator.cluster.kinds import DEPLOYMENT, HTTP_ROUTE, INGRESS
from fastapi_operator.reconcile.observe.claims import Claim, Claims, read_claims
from fastapi_operator.resources.desired import ObjectKey


def route(listener: str = "", *paths: str) -> dict[str, Any]:
    parent = {"name": "public", **({"sectionName": listener} if listener else {})}
    matches = [{"path": {"type": "PathPrefix", "value": path}} for path in paths]
    rule = {"matches": matches} if matches else {}
    spec = {"parentRefs": [parent], "hostnames": ["shop.example.com"], "rules": [rule]}
    return {"metadata": {"namespace": "shops"}, "spec": spec}


def key(name: str) -> ObjectKey:
    return ObjectKey("gateway.networking.k8s.io", "HTTPRoute", "shops", name)


def others(**routes: dict[str, Any]) -> list[str]:
    """The objects that have a claim of the object ``mine``."""
    claims = Claims()
    for name, body in routes.items():
        claims.put(key(name), read_claims(HTTP_ROUTE, body))
    return [other.name for _, other in claims.others(key("mine"))]


def test_a_route_without_a_match_claims_every_path() -> None:
    assert read_claims(HTTP_ROUTE, route()) == (
        Claim("the Gateway shops/public", "shop.example.com", "/"),
    )


def test_an_ingress_has_the_class_of_its_field_or_its_annotation() -> None:
    path = {"path": "/a", "pathType": "Prefix"}
    spec = {"rules": [{"host": "shop.example.com", "http": {"paths": [path]}}]}
    annotated = {"annotations": {"kubernetes.io/ingress.class": "old"}}
    for metadata, more, edge in (
        ({}, {"ingressClassName": "new"}, "the Ingress class new"),
        (annotated, {}, "the Ingress class old"),
        ({}, {}, "the default Ingress class"),
    ):
        found = read_claims(INGRESS, {"metadata": metadata, "spec": spec | more})
        assert found == (Claim(edge, "shop.example.com", "/a"),)


def test_other_kinds_claim_nothing() -> None:
    assert read_claims(DEPLOYMENT, route()) == ()


def test_other_paths_and_other_listeners_are_other_claims() -> None:
    assert others(mine=route("", "/a"), same=route("", "/b", "/a"), apart=route("", "/b")) == [
        "same"
    ]
    assert others(mine=route("http"), same=route("http"), apart=route("https")) == ["same"]
    assert others(mine=route("http"), every=route()) == ["every"]


def test_a_claim_ends_with_its_object() -> None:
    claims = Claims()
    claims.put(key("mine"), read_claims(HTTP_ROUTE, route()))
    assert claims.put(key("other"), read_claims(HTTP_ROUTE, route()))
    assert not claims.put(key("other"), read_claims(HTTP_ROUTE, route()))
    assert claims.put(key("other"), ())
    assert list(claims.others(key("mine"))) == []
