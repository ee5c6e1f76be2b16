"""Order: database, migration, release record, app; and the state while a migration fails."""

import time
from typing import Any

from fastapi_operator.reconcile.observe.pod_diagnostics import FIRST_CHECK_SECONDS
from tests.api.world import World, eventually

POSTGRES: dict[str, Any] = {"migrations": {}}


def jobs(world: World) -> list[str]:
    """Names of the migration Jobs, oldest first."""
    found = world.kube.items(world.path("jobs"))
    return [job["metadata"]["name"] for job in sorted(found, key=_created)]


def _created(job: dict[str, Any]) -> tuple[str, int]:
    return job["metadata"]["creationTimestamp"], int(job["metadata"]["resourceVersion"])


def image(world: World) -> str:
    """The image of the live Deployment."""
    deployment = world.get("deployments", "shop")
    return deployment["spec"]["template"]["spec"]["containers"][0]["image"] if deployment else ""


def released(world: World) -> list[dict[str, Any]]:
    """The release records, oldest first."""
    found = world.kube.items(world.path("controllerrevisions"))
    return sorted(found, key=lambda body: body["revision"])


def test_the_app_waits_for_the_migration_and_the_migration_for_the_database(world: World) -> None:
    world.start()
    world.apply(postgres=POSTGRES)
    eventually(lambda: world.get("statefulsets", "shop-postgres"))
    eventually(lambda: world.condition("MigrationsReady"))
    time.sleep(0.5)
    assert jobs(world) == []
    assert world.condition("MigrationsReady")["reason"] == "WaitingForDatabase"
    world.finish_rollouts()
    name = eventually(lambda: jobs(world))[0]
    time.sleep(0.5)
    assert world.get("deployments", "shop") is None
    assert released(world) == []
    # As a queue of Jobs does, for example Kueue.
    suspended = {"type": "Suspended", "status": "True", "reason": "JobSuspended"}
    path = f"{world.path('jobs', name)}/status"
    world.kube.patch(path, {"status": {"conditions": [suspended]}})
    eventually(lambda: world.condition("MigrationsReady")["reason"] == "JobSuspended")
    assert "spec.suspend" in world.condition("MigrationsReady")["message"]
    world.finish_job(name)
    eventually(lambda: world.get("deployments", "shop"))
    (record,) = released(world)
    assert record["metadata"]["name"] == "shop-release-1"
    assert record["data"]["migrated"] == [name.removeprefix("shop-migrate-")]
    assert record["data"]["spec"]["image"] == "registry.test/shop:1"
    assert record["metadata"]["ownerReferences"][0]["kind"] == "FastAPIService"
    world.until_ready()
    assert world.condition("MigrationsReady")["status"] == "True"
    assert world.service()["status"]["migration"]["state"] == "Succeeded"


def test_a_failed_migration_keeps_and_repairs_the_old_version(world: World) -> None:
    operator = world.start()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    world.apply(image="registry.test/shop:2", postgres=POSTGRES)
    name = eventually(lambda: len(jobs(world)) == 2 and jobs(world))[1]
    world.finish_job(name, failed="revision 1f2 not found")
    stalled = eventually(
        lambda: world.condition("Stalled").get("status") == "True" and world.condition("Stalled")
    )
    assert stalled["reason"] == "MigrationFailed"
    assert name in stalled["message"]
    assert world.condition("MigrationsReady")["reason"] == "MigrationFailed"
    assert world.condition("Ready")["status"] == "False"
    assert image(world) == "registry.test/shop:1"

    for restarted in (False, True):
        if restarted:
            operator.stop()
            world.start()
        world.kube.delete(world.path("deployments", "shop"))
        world.kube.delete(world.path("configmaps", "shop-app"))
        eventually(lambda: image(world) == "registry.test/shop:1")
        config = eventually(lambda: world.get("configmaps", "shop-app"))
        assert config["data"]["IMAGE"] == "registry.test/shop:1"
        world.finish_rollouts()
    assert len(jobs(world)) == 2

    # The retry field asks for another try; its success brings the new version.
    again = {"migrations": {"retry": "1"}}
    world.apply(image="registry.test/shop:2", postgres=again)
    world.until_ready()
    assert image(world) == "registry.test/shop:2"
    assert len(released(world)) == 2


def test_a_rollback_to_a_migrated_version_needs_no_job(world: World) -> None:
    world.start()
    for tag in ("1", "2"):
        world.apply(image=f"registry.test/shop:{tag}", postgres=POSTGRES)
        world.until_ready()
    first = jobs(world)[0]
    world.kube.delete(world.path("jobs", first), propagationPolicy="Background")
    eventually(lambda: first not in jobs(world))
    world.apply(image="registry.test/shop:1", postgres=POSTGRES)
    world.until_ready()
    assert image(world) == "registry.test/shop:1"
    assert first not in jobs(world)


def test_the_last_three_jobs_and_ten_records_are_kept(world: World) -> None:
    world.start()
    for tag in range(12):
        world.apply(image=f"registry.test/shop:{tag}", postgres=POSTGRES)
        world.until_ready()
    eventually(lambda: len(jobs(world)) == 3)
    revisions = eventually(lambda: len(released(world)) == 10 and released(world))
    assert [record["revision"] for record in revisions] == list(range(3, 13))


def test_a_database_that_restarts_does_not_stop_the_repair_of_the_app(world: World) -> None:
    world.start()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    path = f"{world.path('statefulsets', 'shop-postgres')}/status"
    world.kube.patch(path, {"status": {"readyReplicas": 0, "availableReplicas": 0}})
    eventually(lambda: world.condition("DatabaseReady").get("status") == "False")
    assert world.condition("Ready")["status"] == "False"
    world.kube.delete(world.path("deployments", "shop"))
    eventually(lambda: world.get("deployments", "shop"))


def test_a_service_without_migrations_has_a_record_for_later(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    (record,) = released(world)
    assert record["data"]["migrated"] == []
    # The first migration fails: the previous version still runs.
    world.apply(image="registry.test/shop:2", postgres=POSTGRES)
    eventually(lambda: world.get("statefulsets", "shop-postgres"))
    world.finish_rollouts()
    world.finish_job(eventually(lambda: jobs(world))[0], failed="no")
    eventually(lambda: world.condition("Stalled").get("reason") == "MigrationFailed")
    world.kube.delete(world.path("deployments", "shop"))
    eventually(lambda: image(world) == "registry.test/shop:1")


def end_pod(world: World, job: str, report: str, *, code: int, log: str = "") -> None:
    """Plays the kubelet: the pod of a migration has ended, and its sidecar has reported."""
    name, image = f"{job}-pod", "registry.test/shop:1"
    names = {"initContainers": "checks", "containers": "migrate"}
    spec = {part: [{"name": name, "image": image}] for part, name in names.items()}
    spec["initContainers"][0] |= {"restartPolicy": "Always"}
    labels = {"batch.kubernetes.io/job-name": job}
    body = {
        "metadata": {"name": name, "labels": labels},
        "spec": {**spec, "restartPolicy": "Never"},
    }
    world.kube.request("POST", world.path("pods"), body)

    def ended(container: str, exit_code: int, message: str) -> list[dict[str, Any]]:
        state = {"terminated": {"exitCode": exit_code, "message": message}}
        fixed = {"image": image, "imageID": "", "ready": False, "restartCount": 0}
        return [{"name": container, "state": state, **fixed}]

    status = {
        "phase": "Failed" if code else "Succeeded",
        "initContainerStatuses": ended("checks", 0, report),
        "containerStatuses": ended("migrate", code, log),
    }
    world.kube.patch(f"{world.path('pods', name)}/status", {"status": status})


INVALID = "index public.a is invalid: run REINDEX INDEX CONCURRENTLY public.a;"


def warnings(world: World) -> list[str]:
    problems = world.service().get("status", {}).get("problems") or ()
    return [item["message"] for item in problems if item["path"] == "spec.postgres.migrations"]


def test_what_a_migration_left_unfinished_is_reported_until_the_next_one(world: World) -> None:
    operator = world.start()
    world.apply(postgres=POSTGRES)
    eventually(lambda: world.get("statefulsets", "shop-postgres"))
    world.finish_rollouts()
    first = eventually(lambda: jobs(world))[0]
    end_pod(world, first, f"revision: one -> two\nunfinished: {INVALID}\n", code=0)
    world.finish_job(first)
    world.until_ready()
    assert eventually(lambda: warnings(world)) == [INVALID]
    assert world.service()["status"]["migration"]["revision"] == "two"

    # The pod is deleted some day, and the operator restarts.
    world.kube.delete(world.path("pods", f"{first}-pod"), gracePeriodSeconds=0)
    operator.stop()
    world.start()
    world.apply(env=[{"name": "A", "value": "b"}], postgres=POSTGRES)
    world.until_ready()
    assert warnings(world) == [INVALID]
    assert world.service()["status"]["migration"]["revision"] == "two"

    world.apply(postgres={"migrations": {"retry": "again"}})
    second = eventually(lambda: len(jobs(world)) == 2 and jobs(world))[1]
    end_pod(world, second, "revision: two -> two\n", code=0)
    world.finish_job(second)
    eventually(lambda: not warnings(world))


def revision(world: World) -> str | None:
    found: str | None = world.service()["status"]["migration"].get("revision")
    return found


def migrate(world: World, image: str, report: str) -> None:
    """Rolls out an image whose migration ends with a report."""
    before = jobs(world)
    world.apply(image=image, postgres=POSTGRES)
    if not before:
        eventually(lambda: world.get("statefulsets", "shop-postgres"))
        world.finish_rollouts()
    name = eventually(lambda: [job for job in jobs(world) if job not in before])[0]
    # Longer than the operator waits before it looks at the pods of an unfinished Job.
    time.sleep(FIRST_CHECK_SECONDS + 1)
    end_pod(world, name, report, code=0)
    world.finish_job(name)
    world.until_ready()


def test_a_previous_image_keeps_the_revision_of_the_newer_one(world: World) -> None:
    operator = world.start()
    migrate(world, "registry.test/shop:1", "revision: none -> one\n")
    eventually(lambda: revision(world) == "one")
    key = world.service()["status"]["migration"]["key"]
    migrate(world, "registry.test/shop:2", f"revision: one -> two,three\nunfinished: {INVALID}\n")
    eventually(lambda: revision(world) == "two,three")
    # The Job and the report of the previous image still exist, but the database has moved on.
    world.apply(image="registry.test/shop:1", postgres=POSTGRES)
    world.until_ready()
    eventually(lambda: world.service()["status"]["migration"]["key"] == key)
    assert len(jobs(world)) == 2
    assert revision(world) == "two,three"
    operator.stop()
    world.start()
    world.apply(image="registry.test/shop:1", postgres=POSTGRES, env=[{"name": "A", "value": "b"}])
    world.until_ready()
    assert revision(world) == "two,three"
    assert warnings(world) == [INVALID]


def test_a_failed_migration_reports_what_it_has_done(world: World) -> None:
    world.start()
    world.apply(postgres=POSTGRES)
    eventually(lambda: world.get("statefulsets", "shop-postgres"))
    world.finish_rollouts()
    name = eventually(lambda: jobs(world))[0]
    report = f"revision: one -> two\nunfinished: {INVALID}\n"
    end_pod(world, name, report, code=1, log="QueryCanceled: due to user request")
    world.finish_job(name, failed="Job has reached the specified backoff limit")

    def message() -> str:
        text = world.condition("MigrationsReady").get("message", "")
        return text if INVALID in text else ""

    text = eventually(message)
    assert text.index("QueryCanceled") < text.index("the revision is two, before it one")
    assert world.condition("Stalled")["reason"] == "MigrationFailed"
    assert revision(world) == "two"
    assert image(world) == ""
