"""Dumps and restores, by the scripts that the builders print, with real programs."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.resources.operands import Pod, container, eventually, files, wanted
from tests.unit.resources.test_database import configure, owner, psql, serving

BACKUP = {"backup": {"keep": 2}}
CRON_JOB = "CronJob/shop-postgres-backup"


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    pod = Pod(tmp_path)
    for path in ("/etc/postgresql", "/run/postgresql", "/var/lib/postgresql"):
        pod.directory(path)
    for path in ("/backup", "/dumps"):
        pod.directory(path)
    pod.port(5432)
    pod.hosts["shop-postgres"] = "127.0.0.1"
    configure(pod)
    return pod


def dump(pod: Pod) -> subprocess.CompletedProcess[str]:
    """Runs the CronJob's container once."""
    template = wanted(postgres=BACKUP)[CRON_JOB].body["spec"]["jobTemplate"]["spec"]["template"]
    (found,) = template["spec"]["containers"]
    given = [f"{entry['name']}={entry['value']}" for entry in found["env"] if "value" in entry]
    return pod.run("env", *given, "PGPASSWORD=owner", *found["command"])


def dumps(pod: Pod) -> list[str]:
    return sorted(path.name for path in pod.paths["/backup"].iterdir())


@contextmanager
def new_database(pod: Pod, **restore_from: str) -> Iterator[None]:
    """A fresh volume, with what was dumped mounted as the claim to restore from."""
    restores = {"restoreFrom": {"claim": "old-backup", **restore_from}}
    pod.write("/etc/postgresql", files(wanted(postgres=restores), "shop-postgres"))
    for path in pod.paths["/backup"].iterdir():
        path.rename(pod.paths["/dumps"] / path.name)
    with serving(pod):
        yield


def empty_volume(pod: Pod) -> None:
    data = pod.paths["/var/lib/postgresql"]
    subprocess.run(["rm", "-rf", data / "data", data / "restored"], check=True)


def fill(pod: Pod, rows: int = 1000) -> None:
    owner(pod, "CREATE TABLE items (id serial PRIMARY KEY, name text); CREATE SCHEMA billing")
    owner(pod, f"INSERT INTO items (name) SELECT 'hat ' || n FROM generate_series(1, {rows}) n")


def test_a_dump_restores_everything_into_a_new_database(pod: Pod) -> None:
    with serving(pod):
        fill(pod)
        result = dump(pod)
        assert result.returncode == 0, result.stderr
        (name,) = dumps(pod)
        assert result.stdout.startswith(f"wrote {name}: ")
    empty_volume(pod)
    with new_database(pod):
        assert psql(pod, "SELECT count(*) FROM items") == "1000"
        assert psql(pod, "INSERT INTO items (name) VALUES ('new') RETURNING id").startswith("1001")
        assert "must be owner" in psql(pod, "DROP TABLE items")
        assert owner(pod, "ALTER TABLE items ADD COLUMN price int") == "ALTER TABLE"
        assert "permission denied" not in psql(pod, "SELECT 1 FROM billing.none")
        assert f"restored {name}" in pod.output()


def test_a_database_is_restored_once(pod: Pod) -> None:
    with serving(pod):
        fill(pod)
        dump(pod)
    empty_volume(pod)
    with new_database(pod):
        owner(pod, "DROP TABLE items")
    with serving(pod):
        assert "does not exist" in psql(pod, "SELECT 1 FROM items")


def test_a_database_with_data_is_not_restored(pod: Pod) -> None:
    with serving(pod):
        fill(pod)
        dump(pod)
        owner(pod, "DELETE FROM items WHERE id > 1")
    with new_database(pod):
        assert psql(pod, "SELECT count(*) FROM items") == "1"
        assert "has data: the restore is skipped" in pod.output()


def test_the_newest_dumps_are_kept_and_incomplete_ones_removed(pod: Pod) -> None:
    folder = pod.paths["/backup"]
    for name in ("app-20200101T000000Z.dump", "app-20210101T000000Z.dump", "app-x.dump.partial"):
        (folder / name).write_text("old")
    (folder / "readme.txt").write_text("not ours")
    with serving(pod):
        assert dump(pod).returncode == 0
    kept = dumps(pod)
    assert kept[0] == "app-20210101T000000Z.dump"
    assert len(kept) == 3 and kept[-1] == "readme.txt"


def test_a_failed_dump_keeps_the_old_dumps(pod: Pod) -> None:
    (pod.paths["/backup"] / "app-20200101T000000Z.dump").write_text("old")
    result = dump(pod)
    assert result.returncode != 0
    assert "connection" in result.stderr
    assert dumps(pod) == ["app-20200101T000000Z.dump"]


def test_a_dump_is_selected_by_name(pod: Pod) -> None:
    with serving(pod):
        fill(pod, rows=1)
        dump(pod)
        (first,) = dumps(pod)
        (pod.paths["/backup"] / first).rename(pod.paths["/backup"] / "app-20200101T000000Z.dump")
        owner(pod, "DELETE FROM items")
        dump(pod)
    empty_volume(pod)
    with new_database(pod, file="app-20200101T000000Z.dump"):
        assert psql(pod, "SELECT count(*) FROM items") == "1"


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({}, "claim old-backup has no dump at all"),
        ({"app-20200101T000000Z.dump": "torn" * 99}, "does not appear to be a valid archive"),
    ],
)
def test_a_failed_restore_reports_the_reason_and_does_not_serve(
    pod: Pod, contents: dict[str, str], message: str
) -> None:
    restores = {"restoreFrom": {"claim": "old-backup"}}
    pod.write("/etc/postgresql", files(wanted(postgres=restores), "shop-postgres"))
    pod.write("/dumps", contents)
    for _ in range(2):
        result = pod.run("sh", "/etc/postgresql/start.sh")
        assert result.returncode == 1
        assert message in result.stderr


def test_an_interrupted_restore_starts_again(pod: Pod) -> None:
    with serving(pod):
        fill(pod, rows=200_000)
        dump(pod)
    empty_volume(pod)
    restores = {"restoreFrom": {"claim": "old-backup"}}
    pod.write("/etc/postgresql", files(wanted(postgres=restores), "shop-postgres"))
    for path in pod.paths["/backup"].iterdir():
        path.rename(pod.paths["/dumps"] / path.name)
    postmaster = pod.paths["/var/lib/postgresql"] / "data" / "postmaster.pid"
    with pod.running("sh", "/etc/postgresql/start.sh") as server:
        eventually(lambda: "restoring app-" in pod.output(), "the restore has begun")
        # At once and without a checkpoint, as if the node were gone.
        subprocess.run(["kill", "-QUIT", postmaster.read_text().split()[0]], check=True)
        assert server.wait(20) == 1
    assert "restored app-" not in pod.output()
    with serving(pod):
        assert psql(pod, "SELECT count(*) FROM items") == "200000"


def test_a_backup_meets_the_restricted_profile() -> None:
    objects = wanted(postgres=BACKUP)
    database = container(objects, "StatefulSet/shop-postgres", "postgres")
    cron_job = objects[CRON_JOB].body["spec"]
    (found,) = cron_job["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert found["image"] == database["image"], "a dump is written by the server's own version"
    assert cron_job["concurrencyPolicy"] == "Forbid"
