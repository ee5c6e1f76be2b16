"""A failed migration runs again after a change of any of its inputs, and only then."""

import time
from typing import Any

import pytest

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.test_migrations import jobs
from tests.api.test_one_migration import external, new_job, secret
from tests.api.world import World, eventually

DATABASE = {**external("one"), "pooler": {"engine": "None"}, "migrations": {"timeoutSeconds": 90}}


def first_failure(world: World, **spec: Any) -> str:
    """A first deploy whose migration fails."""
    world.start(build=build_desired_state)
    secret(world, "one", "db.example.com")
    world.apply(postgres=DATABASE, **spec)
    (name,) = eventually(lambda: jobs(world))
    world.finish_job(name, failed="exit code 1")
    eventually(lambda: world.condition("Stalled").get("reason") == "MigrationFailed")
    return name


@pytest.mark.parametrize(
    "change",
    [
        {"env": [{"name": "SECRET_KEY", "value": "x"}]},
        {"postgres": {**DATABASE, "migrations": {"timeoutSeconds": 60}}},
        {"serviceAccount": {"name": "migrator"}},
        {"resources": {"limits": {"memory": "1Gi"}}},
    ],
    ids=["env", "timeout", "account", "memory"],
)
def test_a_corrected_input_runs_it_again(world: World, change: dict[str, Any]) -> None:
    first = first_failure(world)
    world.apply(**{"postgres": DATABASE, **change})
    second = new_job(world, first)
    assert eventually(lambda: world.condition("MigrationsReady")["reason"] == "MigrationRunning")
    world.finish_job(second)
    world.until_ready()
    assert jobs(world) == [first, second]
    # After a success, the same change back runs nothing.
    world.apply(postgres=DATABASE)
    world.until_ready()
    assert jobs(world) == [first, second]


def test_a_corrected_secret_runs_it_again(world: World) -> None:
    first = first_failure(
        world,
        env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "two", "key": "host"}}}],
    )
    secret(world, "two", "token")
    second = new_job(world, first)
    world.finish_job(second, failed="exit code 1")
    eventually(lambda: second in world.condition("MigrationsReady").get("message", ""))
    secret(world, "two", "other-token")
    world.finish_job(new_job(world, first, second))
    world.until_ready()


def test_a_change_that_does_not_reach_it_does_not_repeat_it(world: World) -> None:
    first = first_failure(world)
    world.apply(postgres=DATABASE, proxy={"replicas": 3})
    body = world.service()["metadata"]
    eventually(lambda: world.condition("Ready").get("observedGeneration") == body["generation"])
    time.sleep(1.0)
    assert jobs(world) == [first]
    message = world.condition("Stalled")["message"]
    assert message.endswith("change spec.postgres.migrations.retry")
    assert "runs again after a change" in message
    # The field that asks for another try, with the inputs unchanged.
    world.apply(postgres={**DATABASE, "migrations": {"retry": "1"}})
    world.finish_job(new_job(world, first))
    world.until_ready()


def test_a_failed_job_is_not_repeated_by_a_restart(world: World) -> None:
    first = first_failure(world)
    world.operators[0].stop()
    world.start(build=build_desired_state)
    time.sleep(2.0)
    assert jobs(world) == [first]
