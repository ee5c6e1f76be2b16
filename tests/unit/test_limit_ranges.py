from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.limit_ranges import Limits
from fastapi_operator.parts import PARTS
from fastapi_operator.problems import Severity
from fastapi_operator.resources.build import build
from fastapi_operator.resources.checks import object_problems
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import EVERYTHING, service

_BIG = {"limits": {"memory": "1Gi"}}


def facts(*items: dict[str, Any]) -> Facts:
    return Facts.from_mapping({"limitRanges": {"default": list(items)}})


def container(**bounds: Any) -> dict[str, Any]:
    return {"type": "Container", **bounds}


def refusals(known: Facts, **spec: Any) -> list[tuple[str, str]]:
    given = service(**spec)
    plan = derive(given, Settings(), known)
    objects = build(given, plan, Settings(), known)
    return [
        (p.path, p.message)
        for p in object_problems(Inputs.of(given, plan, Settings(), known), objects)
    ]


def test_several_limit_ranges_apply_together() -> None:
    limits = Limits.of(
        [
            ("one", container(min={"cpu": "100m"}, max={"cpu": "2"})),
            ("two", container(min={"cpu": "50m", "memory": "1Gi"}, max={"cpu": "1"})),
        ]
    )
    assert limits.container.least["cpu"] == (100, "one")
    assert limits.container.most["cpu"] == (1000, "two")
    assert limits.container.least["memory"] == (2**30, "two")


def test_a_number_below_the_least_is_raised_with_the_reason() -> None:
    plan = derive(EVERYTHING, Settings(), facts(container(min={"cpu": "400m", "memory": "1Gi"})))
    assert plan.pooler is not None and plan.cache is not None
    assert plan.pooler.cpu_request_millicores.value == 400
    assert plan.pooler.cpu_request_millicores.reason.startswith(
        "LimitRange of the facts requires at least 0.4 CPU; otherwise PgBouncer"
    )
    # What follows from it follows: the cache uses the memory that it must have.
    assert plan.cache.maxmemory_bytes.value > 512 * 2**20


def test_a_limit_range_without_a_limit_of_cpu_adds_none() -> None:
    known = facts(container(min={"cpu": "100m"}))
    plan = derive(service(), Settings(), known)
    for desired in build(service(), plan, Settings(), known):
        if desired.pod_template is not None:
            for item in desired.pod_template["spec"]["containers"]:
                assert "cpu" not in item["resources"]["limits"]


@pytest.mark.parametrize(
    ("known", "spec", "path", "message"),
    [
        (
            facts(container(max={"memory": "64Mi"})),
            {"proxy": {"engine": "None"}},
            "spec.resources",
            "container app of app has 256Mi of memory, and LimitRange of the facts permits at most "
            "64Mi",
        ),
        (
            facts(container(max={"memory": "256Mi"})),
            {"containers": [{"name": "big", "image": "a", "resources": _BIG}]},
            "spec.containers[big].resources",
            "container big of app has 1Gi of memory, and LimitRange of the facts permits at most "
            "256Mi",
        ),
        (
            facts({"type": "Pod", "max": {"cpu": "100m"}}),
            {"proxy": {"engine": "None"}},
            "spec.resources",
            "a pod of app has 500m of CPU, and LimitRange of the facts permits at most 100m",
        ),
        (
            facts({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}),
            {"postgres": {}},
            "spec.postgres.storage.size",
            "volume shop-postgres-data has 10Gi of storage, and LimitRange of the facts permits at "
            "most 1Gi",
        ),
    ],
)  # fmt: skip
def test_what_a_limit_range_refuses_is_a_problem_with_its_field(
    known: Facts, spec: dict[str, Any], path: str, message: str
) -> None:
    assert (path, message) in refusals(known, **spec)


def test_a_smaller_container_of_the_spec_is_accepted() -> None:
    known = facts(container(max={"memory": "256Mi"}))
    pooled = {"postgres": {"resources": {"limits": {"memory": "256Mi"}}}}
    assert refusals(known, **pooled) == []


def test_every_part_with_pods_has_a_field_for_the_resources_of_its_main_container() -> None:
    known = facts(container(max={"memory": "1Mi"}, maxLimitRequestRatio={"cpu": "1"}))
    plan = derive(EVERYTHING, Settings(), known)
    objects = build(EVERYTHING, plan, Settings(), known)
    problems = list(object_problems(Inputs.of(EVERYTHING, plan, Settings(), known), objects))
    assert all(problem.severity is Severity.ERROR for problem in problems)
    parts = {path.split(".")[2] for path, _ in ((p.path, p) for p in problems) if ".parts." in path}
    assert parts >= {"pooler", "proxy", "cache", "queue", "backup", "migration"}
    own = {record.resources.partition("[")[0] for record in PARTS.values() if record.resources}
    assert all(any(p.path.startswith(field) for p in problems) for field in own)


@pytest.mark.parametrize("text", ["many", {"a": [1]}, {"a": [{"type": "Container", "min": 3}]}])
def test_a_malformed_file_of_facts_is_refused_with_an_example(text: Any) -> None:
    with pytest.raises(ValueError, match="limitRanges must be a mapping of namespaces"):
        Facts.from_mapping({"limitRanges": text})
