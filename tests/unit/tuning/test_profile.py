import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fastapi_operator.api import cel
from fastapi_operator.api.service import Spec
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Severity
from fastapi_operator.profiles import BOUNDS, shipped
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.decision import Decision, Source
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.number import declared
from fastapi_operator.tuning.plan import Plan
from tests.unit import services


def planned(profile: dict[str, Any], **spec: Any) -> Plan:
    """The plan of a service whose profile is ``team``."""
    ours = Settings.from_mapping({"profiles": {"team": profile}})
    return derive(services.service(profile="team", **spec), ours, Facts())


def decision(plan: Plan, name: str) -> Decision[Any]:
    return next(item for item in plan.decisions() if item.name == name)


# Defaults ----------------------------------------------------------------------------------------


def test_a_default_fills_an_absent_field_and_the_reason_names_the_profile() -> None:
    plan = planned({"defaults": {"scaling": {"minReplicas": 4}}})

    found = decision(plan, "scaling.min_replicas")
    assert (found.value, found.source) == (4, Source.PROFILE)
    assert found.reason == "default of profile team for spec.scaling.minReplicas"


def test_the_spec_wins_over_its_profile() -> None:
    plan = planned({"defaults": {"scaling": {"minReplicas": 4}}}, scaling={"minReplicas": 5})

    found = decision(plan, "scaling.min_replicas")
    assert (found.value, found.source) == (5, Source.SPEC)


def test_a_default_does_not_add_a_part_that_must_be_requested() -> None:
    defaults = {
        "postgres": {"storage": {"size": "5Gi"}},
        "exposure": {"gateway": {"name": "public"}, "tls": {"issuer": {"name": "ours"}}},
    }
    hosts = {"hosts": ["shop.example.com"]}

    assert planned({"defaults": defaults}).database is None
    assert planned({"defaults": defaults}).spec.exposure is None
    exposed = planned({"defaults": defaults}, exposure=hosts | {"gateway": {}}).spec.exposure
    assert exposed is not None and exposed.gateway is not None
    assert exposed.gateway.name == "public"
    assert exposed.tls is None


def test_only_the_default_that_contradicts_the_spec_is_dropped() -> None:
    defaults = {
        "scaling": {"minReplicas": 4},
        "exposure": {"tls": {"issuer": {"name": "ours"}}, "idleTimeoutSeconds": 50},
    }
    plan = planned(
        {"defaults": defaults},
        scaling={"replicas": 2},
        exposure={"hosts": ["shop.example.com"], "tls": {"secretName": "shop-tls"}},
    )

    assert plan.spec.scaling is not None and plan.spec.scaling.min_replicas is None
    assert plan.spec.exposure is not None and plan.spec.exposure.tls is not None
    assert plan.spec.exposure.tls.issuer is None
    assert plan.spec.exposure.idle_timeout_seconds == 50


def test_a_default_above_a_limit_of_the_spec_is_dropped() -> None:
    defaults = {"resources": {"requests": {"cpu": "1"}}}
    plan = planned({"defaults": defaults}, resources={"limits": {"cpu": "500m"}})

    assert not plan.problems
    assert decision(plan, "compute.cpu_request_millicores").value == 500


def test_defaults_that_need_each_other_are_applied_together() -> None:
    plan = planned(
        {
            "defaults": {
                "server": {"workerPolicy": "Fixed", "workers": 3},
                "scaling": {"replicas": 2},
            }
        },
        scaling={"minReplicas": 3},
    )

    assert decision(plan, "server.workers").value == 3
    assert decision(plan, "scaling.min_replicas").value == 3


def test_mappings_are_merged_and_lists_replaced() -> None:
    defaults = {
        "availability": {
            "nodeSelector": {"pool": "web", "arch": "amd64"},
            "tolerations": [{"key": "web", "operator": "Exists"}],
        }
    }
    mine = {"nodeSelector": {"pool": "gpu"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}
    availability = planned({"defaults": defaults}, availability=mine).spec.availability

    assert availability is not None
    assert availability.node_selector == {"pool": "gpu", "arch": "amd64"}
    assert availability.tolerations == ({"key": "gpu", "operator": "Exists"},)


# Ceilings ----------------------------------------------------------------------------------------


def test_a_ceiling_lowers_a_field_and_the_reason_names_both_values() -> None:
    plan = planned({"ceilings": {"scaling.maxReplicas": 20}}, scaling={"maxReplicas": 50})

    found = decision(plan, "scaling.max_replicas")
    assert (found.value, found.source) == (20, Source.PROFILE)
    assert found.reason == ("profile team allows at most 20; spec.scaling.maxReplicas is 50")
    (problem,) = plan.problems
    assert (problem.severity, problem.path) == (Severity.WARNING, "spec.scaling.maxReplicas")
    assert "50" in problem.message and "20" in problem.message


def test_a_ceiling_lowers_a_derived_number_and_all_that_follow_from_it() -> None:
    ceilings = {"scaling.maxReplicas": 4, "postgres.resources.limits.memory": "512Mi"}
    traffic = {"peakRequestsPerSecond": 50_000}
    postgres: dict[str, Any] = {"backup": {}}
    free = planned({}, traffic=traffic, postgres=postgres)
    plan = planned({"ceilings": ceilings}, traffic=traffic, postgres=postgres)

    found = decision(plan, "scaling.max_replicas")
    unbounded = decision(free, "scaling.max_replicas").value
    assert (found.value, found.source) == (4, Source.PROFILE)
    assert found.reason == f"profile team allows at most 4; {unbounded} pods would be derived"
    buffers = decision(plan, "postgres.shared_buffers_bytes").value
    assert buffers * 2 == decision(free, "postgres.shared_buffers_bytes").value
    (problem,) = plan.problems
    assert "2500 at once; the capacity of 4 pods is 256" in problem.message


def test_a_ceiling_of_one_pod_leaves_one_pod_of_app_pooler_and_proxy() -> None:
    plan = planned({"ceilings": {"scaling.maxReplicas": 1}}, postgres={"backup": {}})
    pods = [decision(plan, name) for name in ("scaling.min_replicas", "scaling.max_replicas")]
    pods += [decision(plan, name) for name in ("pooler.instances", "proxy.replicas")]
    assert [item.value for item in pods] == [1, 1, 1, 1]


def test_a_ceiling_of_memory_bounds_the_workers_that_cpu_would_allow() -> None:
    requests = {"requests": {"cpu": "8"}}
    plan = planned({"ceilings": {"resources.limits.memory": "512Mi"}}, resources=requests)
    assert decision(plan, "server.workers").value == 1
    assert decision(plan, "compute.memory_limit_bytes").value <= 512 * 2**20


@pytest.mark.parametrize(
    ("profile", "times"),
    [
        ({}, 0),
        ({"ceilings": {"scaling.maxReplicas": 4}}, 0),
        ({"ceilings": {"scaling.maxReplicas": 4}, "defaults": {"proxy": {"replicas": 3}}}, 1),
    ],
    ids=["empty profile", "derived number", "default and ceiling"],
)
def test_a_spec_is_parsed_again_only_if_the_profile_changes_it(
    profile: dict[str, Any], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = services.service(profile="team")
    parsed: list[str] = []
    parse = Spec.model_validate_json
    monkeypatch.setattr(
        Spec, "model_validate_json", lambda text: parsed.append(text) or parse(text)
    )
    derive(service, Settings.from_mapping({"profiles": {"team": profile}}), Facts())
    assert len(parsed) == times


def test_a_ceiling_above_the_value_changes_nothing() -> None:
    assert [item.value for item in planned({"ceilings": {"redis.memory": "64Gi"}}).decisions()] == [
        item.value for item in planned({}).decisions()
    ]


@settings(max_examples=60, deadline=None)
@given(
    spec=services.SPECS,
    ceilings=st.fixed_dictionaries(
        {},
        optional={
            "scaling.maxReplicas": st.integers(1, 50),
            "resources.limits.cpu": services.CPU,
            "resources.limits.memory": st.sampled_from(["256Mi", "1Gi", "8Gi"]),
            "redis.memory": services.MEMORY,
            "postgres.storage.size": services.MEMORY,
            "postgres.resources.limits.cpu": services.CPU,
            "postgres.resources.limits.memory": services.MEMORY,
            "proxy.replicas": st.integers(1, 5),
        },
    ),
)
def test_no_number_exceeds_a_ceiling(spec: dict[str, Any], ceilings: dict[str, Any]) -> None:
    plan = planned({"ceilings": ceilings}, **spec)
    numbers = {item.name: item for item in plan.decisions()}
    for number in declared():
        if number.ceiling in ceilings and number.name in numbers:
            most = BOUNDS[number.ceiling].amount(ceilings[number.ceiling])
            assert numbers[number.name].value <= most, numbers[number.name]


def test_every_ceiling_of_a_number_exists_and_covers_the_fields_that_set_it() -> None:
    parts = {"redis": {"persistence": {}}, "queue": {}, "postgres": {"backup": {}}}
    plan = planned({}, tuning={"leakGuard": "Recommend"}, **parts)
    names = {item.name for item in plan.decisions()}
    bounded = [number for number in declared() if number.ceiling]
    # maxConnections of an external database bounds a field alone.
    assert {number.ceiling for number in bounded} | {"postgres.maxConnections"} == set(BOUNDS)
    for number in bounded:
        assert number.name in names
        covered = {f"spec.{field}" for field in BOUNDS[number.ceiling].fields}
        assert set(number.paths()) <= covered


def test_cpu_limits_of_a_profile_are_a_core_a_worker() -> None:
    fixed = {"workerPolicy": "Fixed", "workers": 3}
    plan = planned({"cpuLimits": True}, server=fixed)

    found = decision(plan, "compute.cpu_limit_millicores")
    assert (found.value, found.source) == (3000, Source.PROFILE)
    assert "cpuLimits of the profile" in found.reason
    mine = planned({"cpuLimits": True}, resources={"limits": {"cpu": "700m"}})
    assert decision(mine, "compute.cpu_limit_millicores").value == 700


# Required fields ---------------------------------------------------------------------------------


def test_a_required_field_that_is_missing_is_an_error_with_path_and_remedy() -> None:
    (problem,) = planned({"required": ["resources.limits.memory"]}).problems

    assert problem.severity is Severity.ERROR
    assert str(problem) == (
        "spec.resources.limits.memory: profile team requires it; set it, for example memory: 512Mi"
    )


@pytest.mark.parametrize(
    ("required", "spec"),
    [
        ("postgres.backup", {}),
        ("exposure.tls", {}),
        ("postgres.backup", {"postgres": {"backup": {}}}),
        (
            "postgres.backup",
            {
                "postgres": {
                    "mode": "External",
                    "secretRef": {"name": "db"},
                    "maxConnections": 90,
                }
            },
        ),
        ("scaling.maxReplicas", {"scaling": {"replicas": 3}}),
    ],
    ids=["no database", "not exposed", "there", "not of an external one", "replicas are fixed"],
)
def test_a_required_field_is_not_missing_if_the_service_cannot_have_it(
    required: str, spec: dict[str, Any]
) -> None:
    paths = [problem.path for problem in planned({"required": [required]}, **spec).problems]
    assert f"spec.{required}" not in paths


def test_a_default_of_the_profile_satisfies_its_own_requirement() -> None:
    plan = planned({"required": ["postgres.backup"], "defaults": {"postgres": {"backup": {}}}})
    assert not plan.problems


# Which profile -----------------------------------------------------------------------------------


def test_the_profile_of_the_service_wins_over_that_of_the_namespace() -> None:
    facts = Facts.from_mapping({"profiles": {"default": "development"}})

    assert derive(services.service(), Settings(), facts).profile == shipped()["development"]
    named = derive(services.service(profile="production"), Settings(), facts)
    assert named.profile == shipped()["production"]


def test_an_unknown_profile_is_an_error_that_names_those_known() -> None:
    facts = Facts(profiles={"default": "prod"})
    (named,) = derive(services.service(profile="staging"), Settings(), Facts()).problems
    (labelled,) = derive(services.service(), Settings(), facts).problems

    assert str(named) == (
        "spec.profile: profile 'staging' does not exist; use one of development, production"
    )
    assert "fastapi-operator.io/profile of namespace default is 'prod'" in labelled.message
    assert labelled.severity is Severity.ERROR


# The file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"ceilings": {"scaling.maxReplica": 3}}, "scaling.maxReplica cannot have a ceiling"),
        ({"ceilings": {"scaling.maxReplicas": "3Gi"}}, "'3Gi' must be an integer"),
        ({"ceilings": {"redis.memory": "much"}}, "'much' is not a valid quantity"),
        ({"required": ["postgres.backups"]}, "did you mean backup?"),
        ({"defaults": {"postgres": {"storage": {"sise": "1Gi"}}}}, "Extra inputs"),
        ({"default": {}}, "Extra inputs"),
    ],
)
def test_a_mistake_in_a_profile_is_named(profile: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("?", "[?]")):
        Settings.from_mapping({"profiles": {"team": profile}})


def test_the_page_shows_a_profile_that_is_valid() -> None:
    blocks = Path("docs/reference/profiles.md").read_text().split("```yaml\n")[1:]
    (shown,) = [text for block in blocks if (text := block.split("```")[0]).startswith("profiles:")]
    assert "internal" in Settings.from_mapping(yaml.safe_load(shown)).profiles


def test_a_profile_of_a_shipped_name_takes_its_place() -> None:
    mine = Settings.from_mapping({"profiles": {"production": {"required": ["exposure"]}}}).profiles
    assert set(mine) == {"production", "development"}
    assert mine["production"].required == ("exposure",)
    assert mine["development"] == shipped()["development"]


@pytest.mark.parametrize("name", shipped())
def test_shipped_profiles_plan_a_full_service_without_contradiction(name: str) -> None:
    spec = {"redis": {}, "postgres": {}, "exposure": {"hosts": ["shop.example.com"], "tls": {}}}
    plan = derive(services.service(profile=name, **spec), Settings(), Facts())

    assert not [problem for problem in plan.problems if problem.severity is Severity.ERROR]
    raw = json.loads(plan.spec.model_dump_json(by_alias=True, exclude_none=True))
    assert not tuple(cel.broken_rules(raw))
