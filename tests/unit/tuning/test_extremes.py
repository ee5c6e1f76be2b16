"""Every quantity and integer of the spec at its least and at its most.

The service is refused with the path of the field, or its objects have values that each program and
the API server accept.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from fastapi_operator import quantity
from fastapi_operator.api.crd import structural_schema
from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import Spec
from fastapi_operator.facts import CNPG_CLUSTER, HTTP_ROUTE, ROUTE_FIELDS, SCALED_OBJECT, Facts
from fastapi_operator.problems import Problem, Severity
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import body

EXTERNAL = {"mode": "External", "secretRef": {"name": "given"}}
BASE: dict[str, Any] = {
    "image": "registry.example.com/shop:1",
    "server": {},
    "redis": {"persistence": {}},
    "queue": {"persistence": {}},
    "postgres": {"backup": {}, "migrations": {}},
    "proxy": {
        "cache": {"routes": [{"path": "/items", "seconds": 10}]},
        "static": [{"path": "/static", "directory": "/srv"}],
        "rateLimit": {"requestsPerSecond": 5},
    },
    "exposure": {
        "hosts": ["shop.example.com"],
        "gateway": {"name": "public"},
        "loadBalancer": {},
    },
    "background": [{"name": "worker", "command": ["w"]}],
    "schedules": [{"name": "report", "schedule": "@daily", "command": ["r"]}],
}
SCALED = {"name": "worker", "command": ["w"], "scaling": {"listName": "w", "maxReplicas": 1000}}
# What a field needs beside it, to be allowed at all.
NEEDS: Mapping[str, dict[str, Any]] = {
    "server.workers": {"server": {"workerPolicy": "Fixed"}},
    "connections.database.direct.port": {
        "connections": {"database": {"direct": {"maxConnections": 4}}},
        "postgres": {**EXTERNAL, "maxConnections": 100},
    },
    "redis.maxClients": {"redis": EXTERNAL},
    "postgres.maxConnections": {"postgres": EXTERNAL},
    "postgres.cloudNativePG.instances": {"postgres": {"mode": "CloudNativePG"}},
    "rollout.maxSurge": {"rollout": {"maxUnavailable": 1}},
    "scaling.targetInFlight": {"scaling": {}},
    **{
        f"tuning.bounds[].{name}": {"tuning": {"bounds": [{"name": "pool.size"}]}}
        for name in ("min", "max")
    },
    **{
        f"background[].scaling.{name}": {"background": [SCALED]}
        for name in ("tasksPerReplica", "minReplicas", "maxReplicas", "scaleDownSeconds")
    },
}
TINY, HUGE = "1n", "999999999999999999E"


def _leaves(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    if node.get("x-kubernetes-int-or-string") and node["maximum"] > 1000:
        yield from ((path, value) for value in (0, node["maximum"], "1", TINY, HUGE))
    elif node.get("type") == "integer" or node.get("x-kubernetes-int-or-string"):
        yield from ((path, value) for value in (node["minimum"], node["maximum"]))
    for name, child in node.get("properties", {}).items():
        yield from _leaves(child, f"{path}.{name}" if path else name)
    if "items" in node:
        yield from _leaves(node["items"], f"{path}[]")


EXTREMES = list(_leaves(structural_schema(Spec)))


def _with(path: str, value: Any) -> dict[str, Any]:
    spec = copy.deepcopy(BASE | NEEDS.get(path, {}))
    section: Any = spec
    *above, last = path.split(".")
    for name in above:
        if name.endswith("[]"):
            section = section[name.removesuffix("[]")][0]
        else:
            section = section.setdefault(name, {})
    if last.endswith("[]"):
        last, value = last.removesuffix("[]"), [value]
    section[last] = value
    return spec


def _errors(problems: tuple[Problem, ...]) -> list[Problem]:
    return [problem for problem in problems if problem.severity is Severity.ERROR]


@pytest.mark.parametrize(("path", "value"), EXTREMES)
def test_an_extreme_is_refused_with_its_path_or_gives_sane_objects(path: str, value: Any) -> None:
    service, problems = parse_service(body(_with(path, value)))
    named = re.compile("spec[.]" + re.escape(path).replace(r"\[\]", r"\[.+?\]"))
    if service is None:
        assert any(named.fullmatch(problem.path) for problem in problems), problems
        return
    facts = Facts(
        apis=frozenset({CNPG_CLUSTER, HTTP_ROUTE, SCALED_OBJECT}), route_fields=ROUTE_FIELDS
    )
    plan = derive(service, Settings(), facts)
    errors = _errors(plan.problems)
    if errors:
        # The connection budget names its largest claim.
        assert all(
            named.fullmatch(problem.path) or "at peak" in problem.message for problem in errors
        ), errors
        assert all(problem.remedy for problem in errors)
        return
    for desired in build(service, plan, Settings(), facts):
        _check(desired)
    for decision in plan.decisions():
        if isinstance(decision.value, int):
            assert decision.value >= 0, decision
        if decision.name.endswith("replicas"):
            assert decision.value <= 1000, decision


def _check(desired: Desired) -> None:
    spec = desired.body.get("spec", {})
    if desired.key.kind == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template = spec.get("template", {}).get("spec")
    if template is not None:
        assert template["terminationGracePeriodSeconds"] > 0
        for container in (*template["containers"], *template.get("initContainers", ())):
            _check_resources(container["resources"])
        for volume in template["volumes"]:
            assert quantity.size_bytes(volume.get("emptyDir", {}).get("sizeLimit", 1)) > 0
    for name, text in desired.body.get("data", {}).items():
        if desired.key.kind == "ConfigMap" and name.endswith(".conf"):
            for size in re.findall(r"= '?(-?\d+)(?:[kMG]B)", text):
                assert int(size) > 0, (name, text)


def _check_resources(resources: Mapping[str, Any]) -> None:
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    for kind, amount in (("cpu", quantity.millicores), ("memory", quantity.size_bytes)):
        if kind in limits:
            assert amount(limits[kind]) > 0
            assert amount(requests.get(kind, 0)) <= amount(limits[kind])
            # The API server keeps quantities in 63 bits.
            assert amount(limits[kind]) < 2**62
