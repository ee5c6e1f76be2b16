"""The label of a namespace chooses a profile: its numbers, its refusals, its change."""

import time
from pathlib import Path
from typing import Any

from fastapi_operator import naming
from fastapi_operator.profiles import Profile
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.faulty import FaultyProxy
from tests.api.running import RunningOperator
from tests.api.world import World, eventually

TEAM = {
    "team": Profile.model_validate_json(
        """{"defaults": {"scaling": {"minReplicas": 4}},
            "ceilings": {"scaling.maxReplicas": 6},
            "labels": {"cost-center": "4711"}}"""
    ),
    "strict": Profile.model_validate_json('{"required": ["resources.limits.memory"]}'),
}


def label(world: World, profile: str | None) -> None:
    """Labels the test's namespace with a profile, or takes the label away."""
    labels = {"metadata": {"labels": {naming.PROFILE_LABEL: profile}}}
    world.kube.patch(f"/api/v1/namespaces/{world.namespace}", labels)


def tuned(world: World, name: str) -> dict[str, Any]:
    """A headline decision in the service's status; empty if there is none."""
    values = world.service().get("status", {}).get("tuning") or []
    return next((item for item in values if item["name"] == name), {})


def bounds(world: World) -> tuple[int, int] | None:
    """The limits of the autoscaler."""
    body = world.get("horizontalpodautoscalers", "shop")
    return body and (body["spec"]["minReplicas"], body["spec"]["maxReplicas"])


def test_the_namespace_label_chooses_a_profile_and_a_change_of_it_is_taken_up(
    world: World,
) -> None:
    label(world, "team")
    world.start(build=build_desired_state, settings={"profiles": TEAM, "discovery_seconds": 5})
    world.apply(scaling={"maxReplicas": 50})

    assert eventually(lambda: bounds(world)) == (4, 6)
    most = eventually(lambda: tuned(world, "scaling.max_replicas"))
    assert (most["value"], most["source"]) == (6, "profile")
    assert most["reason"] == "profile team allows at most 6; spec.scaling.maxReplicas is 50"
    assert tuned(world, "scaling.min_replicas")["source"] == "profile"
    (problem,) = world.service()["status"]["problems"]
    assert (problem["severity"], problem["path"]) == ("warning", "spec.scaling.maxReplicas")
    deployment = world.get("deployments", "shop")
    assert deployment is not None
    assert deployment["metadata"]["labels"]["cost-center"] == "4711"

    label(world, None)
    eventually(lambda: bounds(world) == (2, 50))
    eventually(lambda: tuned(world, "scaling.max_replicas")["source"] == "spec")


def test_a_required_field_that_is_missing_and_an_unknown_profile_stall_the_service(
    world: World,
) -> None:
    label(world, "strict")
    world.start(build=build_desired_state, settings={"profiles": TEAM, "discovery_seconds": 5})
    world.apply()

    stalled = eventually(lambda: world.condition("Stalled"))
    assert stalled["status"] == "True"
    assert "spec.resources.limits.memory: profile strict requires it" in stalled["message"]
    assert world.get("deployments", "shop") is None

    world.apply(profile="prod")
    eventually(lambda: "profile 'prod' does not exist" in world.condition("Stalled")["message"])
    world.apply(resources={"limits": {"memory": "512Mi"}})
    eventually(lambda: world.get("deployments", "shop"))


def test_the_profile_is_known_before_the_first_write(world: World) -> None:
    label(world, "team")
    world.apply(scaling={"maxReplicas": 50})
    since = world.mark()
    world.start(build=build_desired_state, settings={"profiles": TEAM})
    eventually(lambda: bounds(world))

    asked = world.requests(since)
    first_write = next(index for index, text in enumerate(asked) if text in world.writes(since))
    assert f"get namespaces/{world.namespace}" in asked[:first_write]
    assert bounds(world) == (4, 6)


def test_a_namespace_that_was_labelled_a_moment_ago_is_planned_with_its_profile(
    world: World,
) -> None:
    """The first plan decides what cannot be changed afterwards, for example sizes of volumes."""
    small_volume = Profile.model_validate_json(
        '{"defaults": {"postgres": {"storage": {"size": "2Gi"}}}}'
    )
    world.start(
        build=build_desired_state,
        settings={"profiles": {"frugal": small_volume}, "discovery_seconds": 60},
    )
    label(world, "frugal")
    world.apply(postgres={})
    claim = eventually(lambda: world.get("persistentvolumeclaims", "shop-postgres-data"))
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_a_service_right_after_another_is_planned_with_the_label_between_them(
    world: World,
) -> None:
    frugal = Profile.model_validate_json('{"defaults": {"postgres": {"storage": {"size": "2Gi"}}}}')
    world.start(
        build=build_desired_state,
        settings={"profiles": {"frugal": frugal}, "discovery_seconds": 60},
    )
    world.apply("first")
    eventually(lambda: world.get("deployments", "first"))
    label(world, "frugal")
    world.apply(postgres={})
    claim = eventually(lambda: world.get("persistentvolumeclaims", "shop-postgres-data"))
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_nothing_is_created_while_the_namespace_of_a_new_service_cannot_be_read(
    world: World, tmp_path: Path
) -> None:
    frugal = Profile.model_validate_json('{"defaults": {"postgres": {"storage": {"size": "2Gi"}}}}')
    since = world.mark()
    with FaultyProxy(world.kubeconfig) as proxy:
        operator = RunningOperator(
            proxy.kubeconfig(tmp_path),
            namespaces=(world.namespace,),
            build=build_desired_state,
            settings={"profiles": {"frugal": frugal}, "discovery_seconds": 60},
        )
        with operator:
            # It knows the namespace without a profile.
            eventually(lambda: world.watches(since))
            proxy.refused = frozenset({f"/api/v1/namespaces/{world.namespace}"})
            label(world, "frugal")
            world.apply(postgres={})
            time.sleep(3.0)
            assert world.get("persistentvolumeclaims", "shop-postgres-data") is None
            proxy.refused = frozenset()
            claim = eventually(lambda: world.get("persistentvolumeclaims", "shop-postgres-data"))
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_a_default_that_contradicts_a_volume_is_a_problem_and_stalls_nothing(
    world: World,
) -> None:
    sizes = Profile.model_validate_json('{"defaults": {"postgres": {"storage": {"size": "2Gi"}}}}')
    world.start(
        build=build_desired_state,
        settings={"profiles": {"frugal": sizes}, "discovery_seconds": 5},
    )
    world.apply(postgres={})
    world.until_ready()
    label(world, "frugal")

    def messages() -> list[str]:
        return [item["message"] for item in world.service()["status"].get("problems", [])]

    eventually(lambda: any("cannot shrink to 2Gi" in text for text in messages()))
    world.until_ready()
    assert world.condition("Stalled")["status"] == "False"
    # A size in the spec is a request.
    world.apply(postgres={"storage": {"size": "1Gi"}})
    eventually(lambda: world.condition("Stalled").get("reason") == "ImmutableField")
