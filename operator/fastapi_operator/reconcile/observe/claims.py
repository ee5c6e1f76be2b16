"""The hosts and paths that Ingresses and HTTPRoutes claim, and the services that claim the same.

A controller gives a host and path that several objects claim to the oldest one, and reports
nothing. The younger service would be Ready without a request.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastapi_operator.cluster.kinds import HTTP_ROUTE, INGRESS, Kind
from fastapi_operator.resources.desired import ObjectKey

Body = Mapping[str, Any]

_CLASS_ANNOTATION = "kubernetes.io/ingress.class"


class Claim(NamedTuple):
    """One path of a host.

    Attributes:
        edge: The class of an Ingress, or the Gateway of an HTTPRoute.
        host: The host.
        path: The path prefix.
        listener: The listener of the Gateway; empty for all of them.
    """

    edge: str
    host: str
    path: str
    listener: str = ""


class Rival(NamedTuple):
    """A claim that an older object of another service has.

    Attributes:
        claim: The claim.
        namespace: The namespace of the other service.
        service: The other service.
    """

    claim: Claim
    namespace: str
    service: str


def read_claims(kind: Kind, body: Body) -> tuple[Claim, ...]:
    """Returns the claims of a live object; none for other kinds."""
    if kind is INGRESS:
        return tuple(dict.fromkeys(_ingress(body)))
    return tuple(dict.fromkeys(_route(body))) if kind is HTTP_ROUTE else ()


class Claims:
    """Objects by the hosts and paths that they claim."""

    def __init__(self) -> None:
        self._claimants: dict[Claim, set[ObjectKey]] = {}
        self._claims: dict[ObjectKey, tuple[Claim, ...]] = {}

    def put(self, key: ObjectKey, claims: tuple[Claim, ...]) -> bool:
        """Stores the claims of an object; returns whether they differ from its former ones."""
        if claims == self._claims.get(key, ()):
            return False
        for claim in self._claims.pop(key, ()):
            place = _place(claim)
            self._claimants[place].discard(key)
            if not self._claimants[place]:
                del self._claimants[place]
        if claims:
            self._claims[key] = claims
        for claim in claims:
            self._claimants.setdefault(_place(claim), set()).add(key)
        return True

    def others(self, key: ObjectKey) -> Iterator[tuple[Claim, ObjectKey]]:
        """Yields the other objects that have a claim of an object."""
        for claim in self._claims.get(key, ()):
            for other in sorted(self._claimants[_place(claim)] - {key}):
                if any(_overlap(claim, item) for item in self._claims[other]):
                    yield claim, other


def _place(claim: Claim) -> Claim:
    return claim._replace(listener="")


def _overlap(one: Claim, other: Claim) -> bool:
    same_listener = one.listener == other.listener or not (one.listener and other.listener)
    return same_listener and _place(one) == _place(other)


def _ingress(body: Body) -> Iterator[Claim]:
    spec, annotations = body.get("spec") or {}, body["metadata"].get("annotations") or {}
    name = spec.get("ingressClassName") or annotations.get(_CLASS_ANNOTATION)
    edge = f"the Ingress class {name}" if name else "the default Ingress class"
    for rule in spec.get("rules") or ():
        for item in (rule.get("http") or {}).get("paths") or ():
            yield Claim(edge, rule.get("host", ""), item.get("path") or "/")


def _route(body: Body) -> Iterator[Claim]:
    spec, namespace = body.get("spec") or {}, body["metadata"]["namespace"]
    matches = [item for rule in spec.get("rules") or () for item in rule.get("matches") or [{}]]
    paths = [(match.get("path") or {}).get("value", "/") for match in matches]
    for parent in spec.get("parentRefs") or ():
        edge = f"the Gateway {parent.get('namespace', namespace)}/{parent['name']}"
        for host in spec.get("hostnames") or ("",):
            for path in paths:
                yield Claim(edge, host, path, parent.get("sectionName", ""))
