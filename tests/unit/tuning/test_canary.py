"""How a new version gets its share: steps, bounds, pods and the connections of both versions."""

from typing import Any

import pytest

from fastapi_operator.facts import HTTP_ROUTE, Facts
from fastapi_operator.problems import Problem, Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.canary import CanaryPlan
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import service

ROUTES = Facts(apis=frozenset({HTTP_ROUTE}))
BEHIND_GATEWAY = {"exposure": {"hosts": ["shop.example.com"], "gateway": {"name": "public"}}}


def planned(canary: dict[str, Any] | None = None, **spec: Any) -> Plan:
    return derive(service(rollout={"canary": canary or {}}, **spec), Settings(), Facts())


def section(canary: dict[str, Any] | None = None, **spec: Any) -> CanaryPlan:
    found = planned(canary, **spec).canary
    assert found is not None
    return found


def _errors(plan: Plan) -> list[Problem]:
    return [problem for problem in plan.problems if problem.severity is Severity.ERROR]


def values(plan: CanaryPlan) -> dict[str, Any]:
    return {
        "steps": plan.steps.value,
        "step": plan.step_seconds.value,
        "requests": plan.min_requests.value,
        "wait": plan.max_wait_seconds.value,
        "on_failure": plan.on_failure,
    }


def test_without_the_section_a_new_version_is_released_at_once() -> None:
    assert derive(service(), Settings(), Facts()).canary is None


def test_an_empty_section_has_all_defaults() -> None:
    assert values(section()) == {
        "steps": (5, 25, 50),
        "step": 60,
        "requests": 200,
        "wait": 3600,
        "on_failure": "Abort",
    }


def test_the_spec_takes_precedence() -> None:
    given = section(
        {
            "steps": [1, 100],
            "stepSeconds": 4000,
            "minRequests": 9,
            "onFailure": "Hold",
            "maxErrorPercent": "0.5",
            "maxP95Milliseconds": 80,
        }
    )
    assert values(given) == {
        "steps": (1, 100),
        "step": 4000,
        "requests": 9,
        # A step may last at least as long as it must.
        "wait": 4000,
        "on_failure": "Hold",
    }
    assert given.max_error_percent is not None and given.max_error_percent.value == "0.5"
    assert given.max_p95_milliseconds is not None and given.max_p95_milliseconds.value == 80


@pytest.mark.parametrize(
    ("slo", "errors", "milliseconds"),
    [
        (None, None, None),
        ({}, "1.44", None),
        ({"availabilityPercent": "99"}, "14.4", None),
        ({"availabilityPercent": "50"}, "100", None),
        ({"latencyMilliseconds": 250}, "1.44", 250),
        ({"latencyMilliseconds": 250, "latencyPercent": "95"}, "1.44", 250),
        # The promise is not about the 95th percentile.
        ({"latencyMilliseconds": 250, "latencyPercent": "90"}, "1.44", None),
    ],
)
def test_bounds_follow_from_the_objectives(
    slo: dict[str, Any] | None, errors: str | None, milliseconds: int | None
) -> None:
    found = section(**({} if slo is None else {"observability": {"slo": slo}}))
    assert (found.max_error_percent and found.max_error_percent.value) == errors
    assert (found.max_p95_milliseconds and found.max_p95_milliseconds.value) == milliseconds


@pytest.mark.parametrize(
    ("spec", "stickiness"),
    [
        ({}, "Request"),
        ({"exposure": {"loadBalancer": {}}}, "Request"),
        ({"exposure": {"loadBalancer": {"proxyProtocol": True}}}, "Client"),
        (BEHIND_GATEWAY, "Client"),
    ],
)
def test_a_client_stays_with_its_version_if_its_address_is_known(
    spec: dict[str, Any], stickiness: str
) -> None:
    assert section(**spec).stickiness.value == stickiness
    assert section({"stickiness": {"mode": "Request"}}, **spec).stickiness.value == "Request"


@pytest.mark.parametrize(
    ("replicas", "steps", "pods"), [(10, [5, 25, 50], 5), (3, [1], 1), (7, [10, 100], 7)]
)
def test_the_last_share_decides_the_pods(replicas: int, steps: list[int], pods: int) -> None:
    assert section({"steps": steps}, scaling={"maxReplicas": replicas}).max_pods.value == pods


def test_both_versions_count_in_the_connection_budget() -> None:
    plan = planned(scaling={"maxReplicas": 10}, postgres={})
    assert plan.budget is not None
    claims = {claim.name: claim.processes for claim in plan.budget.claims}
    # Ten pods and the surge of a rollout, and half as many of the canary.
    assert claims == {"app": 13, "canary": 5}
    assert all(step.slack >= 0 for step in plan.budget.steps())


def test_without_a_pooler_each_process_of_both_versions_has_its_share() -> None:
    database = {
        "mode": "External",
        "secretRef": {"name": "shop-database"},
        "maxConnections": 100,
        "pooler": {"engine": "None"},
    }
    plan = planned(scaling={"maxReplicas": 10}, postgres=database)
    assert plan.pool is not None and plan.budget is not None
    assert plan.budget.demand == 18 * (plan.pool.size.value + plan.pool.max_overflow.value) <= 92


def test_connections_bound_the_pods_of_both_versions() -> None:
    database = {
        "mode": "External",
        "secretRef": {"name": "shop-database"},
        "maxConnections": 40,
        "pooler": {"engine": "None"},
    }
    alone = derive(service(postgres=database), Settings(), Facts()).scaling.max_replicas.value
    both = planned(postgres=database).scaling.max_replicas
    assert both.value < alone
    assert "rollout surge and canary included" in both.reason


def test_a_canary_that_does_not_fit_the_budget_is_refused() -> None:
    database = {
        "mode": "External",
        "secretRef": {"name": "shop-database"},
        "maxConnections": 20,
        "pooler": {"engine": "None"},
    }
    fixed = {"scaling": {"replicas": 12}, "postgres": database}
    assert _errors(derive(service(**fixed), Settings(), Facts())) == []
    (problem,) = _errors(planned({"steps": [50]}, **fixed))
    assert problem.path == "spec.scaling.maxReplicas"
    assert "6 processes of canary" in problem.message


def test_the_processes_of_both_versions_share_the_connections_of_the_cache() -> None:
    external = {"mode": "External", "secretRef": {"name": "cache"}, "maxClients": 100}
    alone = derive(service(redis=external), Settings(), Facts()).cache_pool
    both = planned(redis=external).cache_pool
    assert alone is not None and both is not None
    assert both.size.inputs["processes"] == alone.size.inputs["processes"] + 5


PROFILE = Settings.from_mapping(
    {
        "profiles": {
            "team": {
                "defaults": {
                    "rollout": {
                        "canary": {"stickiness": {"mode": "Header", "header": "X-User"}},
                    }
                }
            }
        }
    }
)


def test_a_profile_has_a_canary_for_each_of_its_services() -> None:
    found = derive(service(profile="team"), PROFILE, Facts()).canary
    assert found is not None and found.sticky_header == "X-User"
    own = {"rollout": {"canary": {"stickiness": {"mode": "Request"}}}}
    found = derive(service(profile="team", **own), PROFILE, Facts()).canary
    assert found is not None and found.sticky_header == ""


UNCOUNTED = {"metrics": {"enabled": False}}
GATEWAY = {"proxy": {"engine": "None"}, **BEHIND_GATEWAY}


@pytest.mark.parametrize(
    "spec",
    [
        {"proxy": {"engine": "None"}},
        {"proxy": {"engine": "None"}, "exposure": {"hosts": ["a.example.com"], "ingress": {}}},
        {**GATEWAY, "observability": UNCOUNTED},
        {"proxy": {"engine": "Caddy"}, "observability": UNCOUNTED},
    ],
)
def test_what_can_neither_divide_nor_count_is_refused_only_if_the_service_requests_it(
    spec: dict[str, Any],
) -> None:
    plan = derive(service(**spec, profile="team"), PROFILE, ROUTES)
    assert plan.canary is None and _errors(plan) == []
    assert "spec.rollout.canary" in {problem.path for problem in plan.problems}
    (error,) = _errors(derive(service(**spec, rollout={"canary": {}}), PROFILE, ROUTES))
    assert error.path == "spec.rollout.canary"


@pytest.mark.parametrize(
    ("spec", "divider"),
    [({}, "nginx"), ({"proxy": {"engine": "Caddy"}}, "Caddy"), (GATEWAY, "the Gateway")],
)
def test_only_nginx_keeps_a_client_with_its_version(spec: dict[str, Any], divider: str) -> None:
    found = derive(service(rollout={"canary": {}}, **spec), Settings(), ROUTES).canary
    assert found is not None and (found.divided_by, found.stickiness.value) == (divider, "Request")
    by_client = {"canary": {"stickiness": {"mode": "Client"}}}
    errors = _errors(derive(service(rollout=by_client, **spec), Settings(), ROUTES))
    expected = [] if divider == "nginx" else ["spec.rollout.canary.stickiness.mode"]
    assert [error.path for error in errors] == expected


def test_a_gateway_removes_the_version_header_unless_everyone_may_test() -> None:
    def warnings(canary: dict[str, Any]) -> list[str]:
        plan = derive(service(rollout={"canary": canary}, **GATEWAY), Settings(), ROUTES)
        assert _errors(plan) == []
        return [item.path for item in plan.problems if "canary" in item.path]

    tested = {"versionHeader": "X-Version"}
    assert warnings(tested) == ["spec.rollout.canary.versionHeader"]
    assert warnings({**tested, "testers": "Everyone"}) == []


def test_static_files_of_the_released_version_are_a_warning() -> None:
    static = {"proxy": {"static": [{"path": "/static", "directory": "/app/static"}]}}
    (problem,) = (it for it in planned(**static).problems if "static" in it.path)
    assert problem.severity is Severity.WARNING and "404" in problem.message
    assert not [it for it in derive(service(**static), Settings(), Facts()).problems if it.path]


@pytest.mark.parametrize("name", ["Cookie", "authorization", "Host", "content-length", "X-User-ID"])
def test_a_header_that_the_app_needs_cannot_choose_the_version(name: str) -> None:
    """The proxy removes it from the requests of all clients but testers."""
    (error,) = _errors(planned({"versionHeader": name}))
    assert error.path == "spec.rollout.canary.versionHeader"
    assert _errors(planned({"versionHeader": "X-Version"})) == []
