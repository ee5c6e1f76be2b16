"""The Cluster of CloudNativePG; tests/full/test_cloudnativepg.py runs it."""

from typing import Any

import pytest

from fastapi_operator import naming
from fastapi_operator.facts import CNPG_CLUSTER, POD_MONITOR, Facts
from fastapi_operator.parts import Part
from fastapi_operator.resources.build import build
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit import services

FACTS = Facts(apis=frozenset({CNPG_CLUSTER, POD_MONITOR}))


def built(kind: str, profile: dict[str, Any] | None = None, **postgres: Any) -> dict[str, Any]:
    """The only object of a kind; of the policies, that of the database."""
    settings = Settings.from_mapping({"profiles": {"team": profile or {}}})
    given = {"mode": "CloudNativePG", **postgres}
    service = services.service(profile="team", postgres=given)
    found = [
        item.body
        for item in build(service, derive(service, settings, FACTS), settings, FACTS)
        if item.key.kind == kind and item.key.name in ("shop", "shop-postgres", "shop-database")
    ]
    (body,) = found
    return dict(body["spec"]) | {"annotations": body["metadata"].get("annotations", {})}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "required"),
        ({"instances": 2}, "preferred"),
        ({"instances": 2, "durability": "Required"}, "required"),
        ({"durability": "Preferred"}, "preferred"),
        ({"durability": "None"}, None),
        ({"instances": 1}, None),
    ],
)
def test_a_commit_waits_for_a_replica_if_there_is_one(
    given: dict[str, Any], expected: str | None
) -> None:
    found = built("Cluster", cloudNativePG=given)["postgresql"].get("synchronous")
    wanted = {"method": "any", "number": 1, "dataDurability": expected}
    assert found == (wanted if expected else None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, True), ({"durability": "Preferred"}, False), ({"instances": 2}, False)],
)
def test_only_a_replica_with_every_commit_takes_over_if_durability_is_required(
    given: dict[str, Any], expected: bool
) -> None:
    found = built("Cluster", cloudNativePG=given)["annotations"]
    assert (found.get("alpha.cnpg.io/failoverQuorum") == "true") is expected


def test_pods_inherit_labels_but_not_the_one_of_watched_objects() -> None:
    inherited = built("Cluster", {"labels": {"cost-center": "4711"}})["inheritedMetadata"]
    assert (
        inherited["labels"].items()
        >= {
            "cost-center": "4711",
            naming.SERVICE_LABEL: "shop",
            naming.COMPONENT_LABEL: "database",
            "sidecar.istio.io/inject": "false",
        }.items()
    )
    assert naming.WATCHED_LABEL not in inherited["labels"]
    assert inherited["annotations"]["linkerd.io/inject"] == "disabled"


def test_resources_follow_the_profile_and_what_cloudnativepg_admits() -> None:
    resources = {"requests": {"memory": "256Mi"}, "limits": {"memory": "4Gi"}}
    spec = built("Cluster", {"cpuLimits": True}, resources=resources)
    assert spec["postgresql"]["parameters"]["shared_buffers"] == "1GB"
    assert spec["resources"]["requests"]["memory"] == "1Gi"
    assert spec["resources"]["limits"]["cpu"]


def test_prometheus_reads_the_instances_and_may_connect_to_them() -> None:
    monitor = built("PodMonitor")
    (chosen,) = monitor["selector"]["matchExpressions"]
    assert Part.DATABASE.value in chosen["values"]
    # The name of the port in pods of CloudNativePG.
    assert "metrics" in {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]}
    policy = built("NetworkPolicy")
    assert {"ports": [{"protocol": "TCP", "port": 9187}]} in policy["ingress"]
    assert policy["policyTypes"] == ["Ingress"]
