"""The exposure of the entry Service: an HTTPRoute or Ingress, and a Certificate."""

from typing import Any

from fastapi_operator.api.exposure import Exposure
from fastapi_operator.facts import CERTIFICATE, HTTP_ROUTE
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning.exposure import ExposurePlan
from fastapi_operator.tuning.routes import ANY, normal

_ENTRY_PORT = 80
# The app's connection broke within a response.
_RETRIED_CODES = (502,)


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the objects of the exposure; a load balancer is the entry Service itself."""
    exposure, plan = inputs.spec.exposure, inputs.plan.exposure
    if exposure is None or plan is None:
        return ()
    built = []
    if plan.issuer is not None and inputs.facts.offers(CERTIFICATE):
        built.append(_certificate(inputs, plan))
    if exposure.gateway is not None and inputs.facts.offers(HTTP_ROUTE):
        built.append(_http_route(inputs, exposure, plan))
    if exposure.ingress is not None:
        built.append(_ingress(inputs, exposure, plan))
    return tuple(built)


def _http_route(inputs: Inputs, exposure: Exposure, plan: ExposurePlan) -> Desired:
    gateway = exposure.gateway
    assert gateway is not None
    parent = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "namespace": gateway.namespace or inputs.namespace,
        "name": gateway.name,
        **({"sectionName": gateway.section_name} if gateway.section_name else {}),
    }
    body = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": objects.metadata(inputs, Part.EXPOSURE, inputs.name),
        "spec": {
            "parentRefs": [parent],
            "hostnames": list(plan.hosts),
            "rules": _rules(inputs, plan),
        },
    }
    return Desired(Part.EXPOSURE, body)


def _rules(inputs: Inputs, plan: ExposurePlan) -> list[dict[str, Any]]:
    """Returns the rules of an HTTPRoute; a Gateway takes the longest path, then the method."""
    root = plan.root_path or "/"
    rule: dict[str, Any] = {
        "backendRefs": [{"kind": "Service", "name": inputs.name, "port": _ENTRY_PORT}]
    }
    if plan.root_path and inputs.plan.proxy is None:
        # The app's server adds its root path to each path. Without a proxy, the route removes it.
        rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
        rule["filters"] = [{"type": "URLRewrite", "urlRewrite": rewrite}]
    numbers = inputs.plan.gateway
    assert numbers is not None
    limited = rule
    rules = []
    if numbers.request_seconds is not None and numbers.backend_request_seconds is not None:
        limited = {
            **rule,
            "timeouts": {
                "request": f"{numbers.request_seconds.value}s",
                "backendRequest": f"{numbers.backend_request_seconds.value}s",
            },
        }
        streams = _stream_prefixes(inputs, plan)
        if streams:
            unlimited = {"request": "0s", "backendRequest": "0s"}
            rules.append({"matches": list(map(_prefix, streams)), **rule, "timeouts": unlimited})
        if root in streams:
            return rules
    retry = _retry(inputs)
    if retry is not None:
        # A request that can have side effects is never sent twice.
        matches = [{**_prefix(root), "method": method} for method in ("GET", "HEAD")]
        rules.append({"matches": matches, **limited, "retry": retry})
    return [*rules, {"matches": [_prefix(root)], **limited}]


def _prefix(path: str) -> dict[str, Any]:
    return {"path": {"type": "PathPrefix", "value": path}}


def _stream_prefixes(inputs: Inputs, plan: ExposurePlan) -> list[str]:
    """Returns the paths of streams up to the first parameter, which no prefix can have."""
    given = inputs.spec.proxy.streaming_paths if inputs.spec.proxy else None
    literal = (normal(path).partition(f"/{ANY}")[0] for path in given or ())
    prefixes = {(plan.root_path + path).rstrip("/") or "/" for path in literal}
    return sorted(prefixes)


def _retry(inputs: Inputs) -> dict[str, Any] | None:
    gateway = inputs.spec.exposure.gateway if inputs.spec.exposure else None
    numbers = inputs.plan.gateway
    if gateway is None or gateway.retry is None or numbers is None:
        return None
    attempts, backoff = numbers.retry_attempts, numbers.retry_backoff_milliseconds
    if attempts is None or backoff is None:
        return None
    return {
        "attempts": attempts.value,
        "codes": list(gateway.retry.codes or _RETRIED_CODES),
        "backoff": f"{backoff.value}ms",
    }


def _ingress(inputs: Inputs, exposure: Exposure, plan: ExposurePlan) -> Desired:
    ingress = exposure.ingress
    assert ingress is not None
    backend = {"service": {"name": inputs.name, "port": {"number": _ENTRY_PORT}}}
    path = {"path": plan.root_path or "/", "pathType": "Prefix", "backend": backend}
    spec: dict[str, Any] = {}
    if ingress.class_name is not None:
        spec["ingressClassName"] = ingress.class_name
    if plan.encrypted:
        # Without a Secret the controller uses its default certificate.
        secret = {"secretName": plan.certificate} if plan.certificate else {}
        spec["tls"] = [{"hosts": list(plan.hosts), **secret}]
    spec["rules"] = [{"host": host, "http": {"paths": [path]}} for host in plan.hosts]
    metadata = objects.metadata(inputs, Part.EXPOSURE, inputs.name, ingress.annotations)
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": spec,
    }
    return Desired(Part.EXPOSURE, body)


def _certificate(inputs: Inputs, plan: ExposurePlan) -> Desired:
    issuer, name = plan.issuer, plan.certificate
    assert issuer is not None and name is not None
    body = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": objects.metadata(inputs, Part.EXPOSURE, name),
        "spec": {
            "secretName": name,
            "dnsNames": list(plan.hosts),
            "issuerRef": {
                "group": "cert-manager.io",
                "kind": issuer.kind or "ClusterIssuer",
                "name": issuer.name,
            },
            "privateKey": {"rotationPolicy": "Always"},
        },
    }
    return Desired(Part.EXPOSURE, body)
