"""The health of routes and certificates, from the statuses of their controllers."""

from typing import Any

import pytest

from fastapi_operator.cluster.kinds import Judge
from fastapi_operator.reconcile.observe.health import judge
from fastapi_operator.reconcile.observe.observed import Health


def route(*parents: list[dict[str, Any]], generation: int = 2) -> dict[str, Any]:
    """An HTTPRoute as Traefik 3.7 leaves it, with these conditions for each parent."""
    reference = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
    return {
        "metadata": {"name": "shop", "generation": generation},
        "spec": {"parentRefs": [{**reference, "namespace": "gateways"}]},
        "status": {
            "parents": [
                {
                    "controllerName": "traefik.io/gateway-controller",
                    "parentRef": reference,
                    "conditions": conditions,
                }
                for conditions in parents
            ]
        },
    }


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 2,
        "lastTransitionTime": "2026-11-22T00:00:00Z",
    }


ACCEPTED = condition("Accepted", "True", "Accepted")
ISSUED = condition("Ready", "True", "Ready")
RESOLVED = condition("ResolvedRefs", "True", "ResolvedRefs")


def test_a_route_is_ready_if_all_gateways_accept_it() -> None:
    assert judge(Judge.ROUTE, route([ACCEPTED, RESOLVED])).ready
    assert judge(Judge.ROUTE, route([ACCEPTED])).ready


def test_the_message_of_an_unaccepted_route_names_the_gateway() -> None:
    health = judge(Judge.ROUTE, route())
    assert (health.ready, health.reason) == (False, "NotAccepted")
    assert "gateways/public" in health.message


def test_conditions_of_an_older_generation_are_ignored() -> None:
    assert judge(Judge.ROUTE, route([ACCEPTED, RESOLVED], generation=3)).reason == "NotAccepted"


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ([condition("Accepted", "False", "NoMatchingListenerHostname", "no listener")], "NoMatch"),
        ([ACCEPTED, condition("ResolvedRefs", "False", "BackendNotFound", "no shop")], "Backend"),
    ],
)
def test_a_refusal_of_the_gateway_is_reported(
    conditions: list[dict[str, Any]], reason: str
) -> None:
    health = judge(Judge.ROUTE, route([ACCEPTED, RESOLVED], conditions))
    assert health.failed and health.reason.startswith(reason)
    assert health.message.startswith("no ")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], Health(False, "NotIssued", "cert-manager has not observed it yet")),
        ([condition("Ready", "True", "Ready")], Health(True)),
        (
            [
                condition("Ready", "False", "DoesNotExist", "the Secret is not there"),
                condition("Issuing", "True", "DoesNotExist"),
            ],
            Health(False, "NotIssued", "the Secret is not there"),
        ),
        (
            [
                condition("Ready", "False", "DoesNotExist", "the Secret is not there"),
                condition("Issuing", "False", "Failed", "the order is invalid"),
            ],
            Health(False, "Failed", "the order is invalid", failed=True),
        ),
    ],
)
def test_a_certificate_is_ready_once_issued(
    conditions: list[dict[str, Any]], expected: Health
) -> None:
    body = {"metadata": {"name": "shop-tls"}, "status": {"conditions": conditions}}
    assert judge(Judge.CERTIFICATE, body) == expected


def test_a_certificate_of_former_hosts_is_not_ready() -> None:
    stale = {"metadata": {"name": "t", "generation": 3}, "status": {"conditions": [ISSUED]}}
    assert judge(Judge.CERTIFICATE, stale).reason == "NotIssued"


def test_a_failed_renewal_is_a_message_while_the_certificate_is_valid() -> None:
    failed = condition("Issuing", "False", "Failed", "the order is invalid")
    body = {"metadata": {"name": "t"}, "status": {"conditions": [ISSUED, failed]}}
    assert judge(Judge.CERTIFICATE, body) == Health(
        True, message="its renewal failed: the order is invalid"
    )


def test_an_ingress_without_an_address_is_ready_with_a_message() -> None:
    body: dict[str, Any] = {"metadata": {}, "spec": {"ingressClassName": "absent"}, "status": {}}
    found = judge(Judge.INGRESS, body)
    assert found.ready
    assert "no controller has reported an address for the class absent" in found.message
    body["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    assert judge(Judge.INGRESS, body) == Health(True)
