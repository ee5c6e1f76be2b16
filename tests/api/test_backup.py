"""Backup and restore in a real API server: the objects at each time, and the status."""

from typing import Any

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.world import World, eventually

BACKUP: dict[str, Any] = {"backup": {"schedule": "41 3 * * *"}}
NAME = "shop-postgres-backup"


def _report(world: World, **times: str) -> None:
    """Writes the CronJob's status as its controller does."""
    path = f"{world.path('cronjobs', NAME)}/status"
    world.kube.patch(path, {"status": times})


def test_dumps_start_when_the_database_exists(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(postgres=BACKUP)
    eventually(lambda: world.get("statefulsets", "shop-postgres"))
    eventually(lambda: world.get("persistentvolumeclaims", NAME))
    assert world.get("cronjobs", NAME) is None
    world.finish_rollouts()
    cron_job = eventually(lambda: world.get("cronjobs", NAME))
    assert cron_job["spec"]["schedule"] == "41 3 * * *"


def test_status_has_the_last_dump_and_a_failed_one(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(postgres=BACKUP)
    world.until_ready()
    assert "no run has succeeded yet" in world.condition("BackupReady")["message"]
    good, bad = "2026-11-22T03:41:09Z", "2026-11-23T03:41:00Z"
    _report(world, lastScheduleTime="2026-11-22T03:41:00Z", lastSuccessfulTime=good)
    eventually(lambda: f"last success was at {good}" in world.condition("BackupReady")["message"])
    _report(world, lastScheduleTime=bad, lastSuccessfulTime=good)
    eventually(lambda: world.condition("BackupReady")["status"] == "False")
    assert f"the run of {bad} failed" in world.condition("BackupReady")["message"]
    assert world.condition("Ready")["status"] == "True", "a failed dump takes nothing down"


def test_dumps_are_kept_if_backups_are_disabled(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(postgres=BACKUP)
    world.until_ready()
    world.apply(postgres={"deletionPolicy": "Retain"})
    eventually(lambda: world.get("cronjobs", NAME) is None)
    assert world.get("persistentvolumeclaims", NAME)

    def is_reported() -> bool:
        problems = world.service()["status"].get("problems", [])
        return any(problem["path"] == "spec.postgres.backup" for problem in problems)

    # The status follows the writes.
    eventually(is_reported)


def test_migrations_wait_until_the_database_is_restored(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(postgres={"restoreFrom": {"claim": "old-backup"}, "migrations": {}})
    eventually(lambda: world.get("statefulsets", "shop-postgres"))
    pod = world.get("statefulsets", "shop-postgres")["spec"]["template"]["spec"]
    assert {"claimName": "old-backup"} in [
        volume.get("persistentVolumeClaim") for volume in pod["volumes"]
    ]
    eventually(lambda: (world.condition("DatabaseReady") or {}).get("status") == "False")
    assert world.kube.items(world.path("jobs")) == []
