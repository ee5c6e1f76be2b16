"""The exposure of the entry Service: an HTTPRoute or Ingress, and a Certificate."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi_operator.api.exposure import Entry, EntryGateway, Exposure, Gateway, Ingress, Issuer
from fastapi_operator.facts import CERTIFICATE, HTTP_ROUTE
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.route_versions import divided
from fastapi_operator.tuning.exposure import EntryPlan
from fastapi_operator.tuning.gateway import GatewayPlan
from fastapi_operator.tuning.routes import ANY, covers, normal

_ENTRY_PORT = 80
# The app's connection broke within a response.
_RETRIED_CODES = (502,)


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the objects of the exposure; a load balancer is the entry Service itself."""
    exposure, plan = inputs.spec.exposure, inputs.plan.exposure
    if exposure is None or plan is None:
        return ()
    paths = (plan.root_path or "/",)
    main = _Way(inputs.name, plan.hosts, paths, plan.certificate, encrypted=plan.encrypted)
    entries = plan.entries if inputs.plan.proxy is not None else ()
    further = [item for entry in entries for item in _entry(inputs, entry)]
    return (*_routing(inputs, main, exposure), *further)


@dataclass(frozen=True)
class _Way:
    """Hosts and paths that are routed to a Service; their objects have its name."""

    name: str
    hosts: tuple[str, ...]
    paths: tuple[str, ...]
    certificate: str | None
    encrypted: bool


def _entry(inputs: Inputs, plan: EntryPlan) -> Iterator[Desired]:
    """Yields the Service of a further entry, which reaches its port only, and its objects."""
    entry = plan.entry
    yield objects.service(
        inputs,
        Part.EXPOSURE,
        plan.name,
        {"http": (_ENTRY_PORT, plan.port_name)},
        selects=Part.PROXY,
    )
    encrypted = entry.tls is not None
    way = _Way(plan.name, entry.hosts or (), plan.paths, plan.certificate, encrypted=encrypted)
    yield from _routing(inputs, way, entry)


def _routing(inputs: Inputs, way: _Way, section: Exposure | Entry) -> Iterator[Desired]:
    issuer = section.tls.issuer if section.tls is not None else None
    if issuer is not None and inputs.facts.offers(CERTIFICATE):
        yield _certificate(inputs, way, issuer)
    if section.gateway is not None and inputs.facts.offers(HTTP_ROUTE):
        yield _http_route(inputs, way, section.gateway)
    if section.ingress is not None:
        yield _ingress(inputs, way, section.ingress)


def _http_route(inputs: Inputs, way: _Way, gateway: Gateway | EntryGateway) -> Desired:
    parent = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "namespace": gateway.namespace or inputs.namespace,
        "name": gateway.name,
        **({"sectionName": gateway.section_name} if gateway.section_name else {}),
    }
    rules = divided(inputs, _rules(inputs, way))
    body = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": objects.metadata(inputs, Part.EXPOSURE, way.name),
        "spec": {"parentRefs": [parent], "hostnames": list(way.hosts), "rules": rules},
    }
    return Desired(Part.EXPOSURE, body)


def _rules(inputs: Inputs, way: _Way) -> list[dict[str, Any]]:
    """Returns the rules of an HTTPRoute; a Gateway takes the longest path, then the method."""
    rule: dict[str, Any] = {
        "backendRefs": [{"kind": "Service", "name": way.name, "port": _ENTRY_PORT}]
    }
    if inputs.root_path and inputs.plan.proxy is None:
        # The app's server adds its root path to each path. Without a proxy, the route removes it.
        rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
        rule["filters"] = [{"type": "URLRewrite", "urlRewrite": rewrite}]
    numbers = inputs.plan.gateway or GatewayPlan()
    limited, paths = rule, list(way.paths)
    rules = []
    if numbers.request_seconds is not None and numbers.backend_request_seconds is not None:
        limited = {
            **rule,
            "timeouts": {
                "request": f"{numbers.request_seconds.value}s",
                "backendRequest": f"{numbers.backend_request_seconds.value}s",
            },
        }
        prefixes = _stream_prefixes(inputs)
        # A stream above a path of the way is all of that path.
        whole = [path for path in paths if any(covers(stream, path) for stream in prefixes)]
        within = [item for item in prefixes if any(covers(path, item) for path in paths)]
        streams = sorted({*whole, *within})
        if streams:
            unlimited = {"request": "0s", "backendRequest": "0s"}
            rules.append({"matches": list(map(_prefix, streams)), **rule, "timeouts": unlimited})
        paths = [path for path in paths if path not in streams]
    if not paths:
        return rules
    retry = _retry(inputs)
    if retry is not None:
        # A request that can have side effects is never sent twice.
        matches = [{**_prefix(path), "method": it} for path in paths for it in ("GET", "HEAD")]
        rules.append({"matches": matches, **limited, "retry": retry})
    return [*rules, {"matches": list(map(_prefix, paths)), **limited}]


def _prefix(path: str) -> dict[str, Any]:
    return {"path": {"type": "PathPrefix", "value": path}}


def _stream_prefixes(inputs: Inputs) -> set[str]:
    """Returns the paths of streams up to the first parameter, which no prefix can have."""
    given = inputs.spec.proxy.streaming_paths if inputs.spec.proxy else None
    literal = (normal(path).partition(f"/{ANY}")[0] for path in given or ())
    return {(inputs.root_path + path).rstrip("/") or "/" for path in literal}


def _retry(inputs: Inputs) -> dict[str, Any] | None:
    gateway = inputs.spec.exposure.gateway if inputs.spec.exposure else None
    numbers = inputs.plan.gateway or GatewayPlan()
    attempts, backoff = numbers.retry_attempts, numbers.retry_backoff_milliseconds
    if gateway is None or gateway.retry is None or attempts is None or backoff is None:
        return None
    return {
        "attempts": attempts.value,
        "codes": list(gateway.retry.codes or _RETRIED_CODES),
        "backoff": f"{backoff.value}ms",
    }


def _ingress(inputs: Inputs, way: _Way, ingress: Ingress) -> Desired:
    backend = {"service": {"name": way.name, "port": {"number": _ENTRY_PORT}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": backend} for path in way.paths]
    spec: dict[str, Any] = {}
    if ingress.class_name is not None:
        spec["ingressClassName"] = ingress.class_name
    if way.encrypted:
        # Without a Secret the controller uses its default certificate.
        secret = {"secretName": way.certificate} if way.certificate else {}
        spec["tls"] = [{"hosts": list(way.hosts), **secret}]
    spec["rules"] = [{"host": host, "http": {"paths": paths}} for host in way.hosts]
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": objects.metadata(inputs, Part.EXPOSURE, way.name, ingress.annotations),
        "spec": spec,
    }
    return Desired(Part.EXPOSURE, body)


def _certificate(inputs: Inputs, way: _Way, issuer: Issuer) -> Desired:
    name = way.certificate
    assert name is not None
    body = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": objects.metadata(inputs, Part.EXPOSURE, name),
        "spec": {
            "secretName": name,
            "dnsNames": list(way.hosts),
            "issuerRef": {
                "group": "cert-manager.io",
                "kind": issuer.kind or "ClusterIssuer",
                "name": issuer.name,
            },
            "privateKey": {"rotationPolicy": "Always"},
        },
    }
    return Desired(Part.EXPOSURE, body)
