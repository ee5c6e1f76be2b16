"""The exposure of the entry Service: an HTTPRoute or Ingress, and a Certificate."""

from typing import Any

from fastapi_operator.api.exposure import Exposure
from fastapi_operator.facts import CERTIFICATE, HTTP_ROUTE
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning.exposure import ExposurePlan

_ENTRY_PORT = 80


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
    rule: dict[str, Any] = {
        "matches": [{"path": {"type": "PathPrefix", "value": plan.root_path or "/"}}],
        "backendRefs": [{"kind": "Service", "name": inputs.name, "port": _ENTRY_PORT}],
    }
    if plan.root_path and inputs.plan.proxy is None:
        # The app's server adds its root path to each path. Without a proxy, the route removes it.
        rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
        rule["filters"] = [{"type": "URLRewrite", "urlRewrite": rewrite}]
    body = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": objects.metadata(inputs, Part.EXPOSURE, inputs.name),
        "spec": {"parentRefs": [parent], "hostnames": list(plan.hosts), "rules": [rule]},
    }
    return Desired(Part.EXPOSURE, body)


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
