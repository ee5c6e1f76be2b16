"""start.sh, bootstrap.sql and the configuration files of the database, run by a real PostgreSQL."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator.cli.psql import Role
from fastapi_operator.cli.psql import command as psql_command
from tests.unit.resources.operands import (
    Pod,
    container,
    eventually,
    files,
    listens,
    program,
    wanted,
)

DATA = "/var/lib/postgresql"


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    for name in ("initdb", "postgres", "psql"):
        program(name)
    pod = Pod(tmp_path)
    for path in ("/etc/postgresql", "/run/postgresql", DATA):
        pod.directory(path)
    pod.port(5432)
    configure(pod)
    return pod


def configure(
    pod: Pod, *, app: str = "first", migrator: str = "owner", monitor: str = "look", **spec: Any
) -> None:
    given = {"app": app, "app_alternate": "idle", "migrator": migrator, "monitor": monitor}
    passwords = {f"passwords/{role}": password for role, password in given.items()}
    pod.write("/etc/postgresql", {**files(wanted(**spec), "shop-postgres"), **passwords})


@contextmanager
def serving(pod: Pod) -> Iterator[subprocess.Popen[str]]:
    with pod.running("sh", "/etc/postgresql/start.sh") as server:
        ask = ("pg_isready", "-q", "-h", "127.0.0.1", "-U", "app", "-d", "app")
        eventually(
            lambda: pod.run(*ask).returncode == 0 or server.poll() is not None,
            "PostgreSQL answers",
        )
        assert server.poll() is None, pod.output()
        yield server


def psql(
    pod: Pod,
    statement: str,
    *,
    role: str = "app",
    password: str = "first",
    host: str = "127.0.0.1",
) -> str:
    url = f"postgresql://{role}:{password}@{host}:{pod.port(5432)}/app"
    result = pod.run("psql", "-X", "-A", "-t", "-d", url, "-c", statement)
    return (result.stdout + result.stderr).strip()


def owner(pod: Pod, statement: str) -> str:
    return psql(pod, statement, role="migrator", password="owner")


def monitor(pod: Pod, statement: str, password: str = "look") -> str:
    return psql(pod, statement, role="monitor", password=password)


def test_migrator_owns_the_schema_and_app_reads_and_writes_rows(pod: Pod) -> None:
    with serving(pod):
        assert owner(pod, "CREATE TABLE items (id serial PRIMARY KEY, name text)") == "CREATE TABLE"
        assert psql(pod, "INSERT INTO items (name) VALUES ('hat') RETURNING id").startswith("1")
        assert psql(pod, "SELECT name FROM items") == "hat"
        assert "must be owner" in psql(pod, "DROP TABLE items")
        assert "permission denied" in psql(pod, "CREATE TABLE other (id int)")
        owner(pod, "CREATE SCHEMA billing; CREATE TABLE billing.rows (id int)")
        assert psql(pod, "SELECT count(*) FROM billing.rows") == "0"


def test_clients_of_both_families_log_in(pod: Pod) -> None:
    with serving(pod):
        for host in ("127.0.0.1", "[::1]"):
            assert psql(pod, "SELECT current_user", host=host) == "app"


def test_the_app_creates_its_tables_if_there_are_no_migrations(pod: Pod) -> None:
    configure(pod, postgres={})
    with serving(pod):
        assert psql(pod, "CREATE TABLE items (id int PRIMARY KEY)") == "CREATE TABLE"
        assert psql(pod, "CREATE SCHEMA billing; CREATE EXTENSION pg_trgm").endswith("EXTENSION")
        # The role after a rotation of credentials is the same owner.
        changed = "ALTER TABLE items ADD name text"
        assert psql(pod, changed, role="app_alternate", password="idle") == "ALTER TABLE"
        owner(pod, "CREATE TABLE made_by_hand (id int PRIMARY KEY)")
    with serving(pod):
        linked = "CREATE TABLE linked (id int REFERENCES made_by_hand, item int REFERENCES items)"
        assert psql(pod, linked) == "CREATE TABLE"


def test_migrations_that_are_added_later_change_the_tables_of_the_app(pod: Pod) -> None:
    configure(pod, postgres={})
    with serving(pod):
        psql(pod, "CREATE TABLE items (name text); INSERT INTO items VALUES ('hat')")
    configure(pod, postgres={"migrations": {}})
    with serving(pod):
        assert owner(pod, "ALTER TABLE items ADD id serial PRIMARY KEY") == "ALTER TABLE"
        assert owner(pod, "CREATE TABLE parts (item int REFERENCES items)") == "CREATE TABLE"
        assert psql(pod, "SELECT id, name FROM items LEFT JOIN parts ON item = id") == "1|hat"
        # An app that still calls create_all creates only missing tables, and none is missing.
        assert "permission denied" in psql(pod, "CREATE TABLE other (id int)")
        assert "permission denied" in psql(pod, "CREATE SCHEMA other")


def test_settings_are_set_on_the_roles(pod: Pod) -> None:
    with serving(pod):
        assert psql(pod, "SHOW statement_timeout") == "15s"
        assert psql(pod, "SHOW idle_in_transaction_session_timeout") == "30s"
        assert owner(pod, "SHOW statement_timeout") == "0"
        # It would end concurrent index builds; the sidecar of a migration limits other waits.
        assert owner(pod, "SHOW lock_timeout") == "0"
        assert psql(pod, "SHOW max_connections") == "28"
        assert psql(pod, "SHOW data_checksums") == "on"
        assert psql(pod, "SELECT count(*) FROM pg_extension WHERE extname LIKE 'pg_stat%'") == "1"


def test_the_alternate_role_of_the_app_acts_as_the_first(pod: Pod) -> None:
    def alternate(statement: str) -> str:
        return psql(pod, statement, role="app_alternate", password="idle")

    with serving(pod):
        owner(pod, "CREATE TABLE items (name text)")
        assert alternate("INSERT INTO items VALUES ('hat') RETURNING name").startswith("hat")
        assert psql(pod, "SELECT name FROM items") == "hat"
        assert alternate("SELECT current_user") == psql(pod, "SELECT current_user") == "app"
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            assert alternate(f"SHOW {setting}") == psql(pod, f"SHOW {setting}")
        assert "must be owner" in alternate("DROP TABLE items")
        assert "authentication failed" in psql(pod, "SELECT 1", role="app_alternate")


def test_the_command_psql_has_the_rights_of_its_role(pod: Pod) -> None:
    def ask(role: Role, *statements: str) -> str:
        options = [word for statement in statements for word in ("-c", statement)]
        command = psql_command(role, ["-X", "-q", "-A", "-t", *options], socket="/run/postgresql")
        result = pod.run(*command)
        return (result.stdout + result.stderr).strip()

    create = "CREATE TABLE rows (id int)"
    with serving(pod):
        assert ask(Role.APP, "SELECT current_user") == "app"
        assert "permission denied" in ask(Role.APP, create)
        assert ask(Role.OWNER, create, "SELECT current_user") == "migrator"
        # A table of the owner is readable for the app, as one of a migration.
        assert ask(Role.APP, "SELECT count(*) FROM rows") == "0"
        assert ask(Role.SUPERUSER, "SELECT current_user") == "postgres"


def test_only_known_roles_with_their_password_connect(pod: Pod) -> None:
    with serving(pod):
        assert "password authentication failed" in psql(pod, "SELECT 1", password="wrong")
        assert "no pg_hba.conf entry" in psql(pod, "SELECT 1", role="postgres", password="")


def test_monitor_reads_statements_of_others_and_no_rows(pod: Pod) -> None:
    with serving(pod):
        owner(pod, "CREATE TABLE items (name text); INSERT INTO items VALUES ('hat')")
        assert psql(pod, "SELECT name FROM items WHERE name = 'hat'") == "hat"
        ran = "SELECT query FROM pg_stat_statements WHERE query LIKE 'SELECT name FROM items%'"
        assert monitor(pod, ran) == "SELECT name FROM items WHERE name = $1"
        assert "permission denied" in monitor(pod, "SELECT * FROM items")
        assert "permission denied" in monitor(pod, "CREATE TABLE other (id int)")
        assert monitor(pod, "SHOW statement_timeout") == "10s"


def test_no_password_is_among_the_statements(pod: Pod) -> None:
    configure(pod, app="s3cret-of-the-app", monitor="s3cret-of-the-exporter")
    with serving(pod):
        kept = monitor(pod, "SELECT query FROM pg_stat_statements", "s3cret-of-the-exporter")
    assert "SELECT" in kept
    assert "s3cret" not in kept


def test_a_restart_keeps_the_data_and_applies_new_passwords(pod: Pod) -> None:
    with serving(pod):
        owner(pod, "CREATE TABLE items (name text); INSERT INTO items VALUES ('hat')")
    configure(pod, app="second")
    with serving(pod):
        assert psql(pod, "SELECT name FROM items", password="second") == "hat"
        assert "authentication failed" in psql(pod, "SELECT 1", password="first")


def test_no_password_is_logged(pod: Pod) -> None:
    configure(
        pod, app="s3cret-of-the-app", migrator="s3cret-of-the-owner", monitor="s3cret-to-look"
    )
    with serving(pod):
        pass
    assert "s3cret" not in pod.output()


def test_term_ends_sessions_and_writes_everything(pod: Pod) -> None:
    with serving(pod) as server:
        url = f"postgresql://app:first@127.0.0.1:{pod.port(5432)}/app"
        with pod.running("psql", "-X", "-d", url, "-c", "SELECT pg_sleep(600)") as client:
            eventually(lambda: psql(pod, _SLEEPERS) == "1", "a session is open")
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
            client.wait(10)
    assert pod.output().rstrip().endswith("database system is shut down")


_SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'"


def test_a_killed_server_recovers_and_an_incomplete_cluster_is_created_again(pod: Pod) -> None:
    half_made = pod.paths[DATA] / "data.new"
    pod.run("sh", "-c", f"mkdir {DATA}/data.new; touch {DATA}/data.new/PG_VERSION")
    assert half_made.exists()
    with serving(pod):
        owner(pod, "CREATE TABLE items (name text); INSERT INTO items VALUES ('hat')")
        postmaster = (pod.paths[DATA] / "data" / "postmaster.pid").read_text().split()[0]
        subprocess.run(["kill", "-KILL", postmaster], check=True)
        eventually(lambda: not listens(pod.port(5432)), "the server is gone")
    assert not half_made.exists()
    with serving(pod):
        assert psql(pod, "SELECT name FROM items") == "hat"


def test_a_cluster_of_another_major_version_is_not_changed(pod: Pod) -> None:
    with serving(pod):
        pass
    version = pod.paths[DATA] / "data" / "PG_VERSION"
    version.write_text("9\n")
    result = pod.run("sh", "/etc/postgresql/start.sh")
    assert result.returncode == 1
    assert "the volume holds a cluster of PostgreSQL 9" in result.stderr


def test_group_permissions_of_the_directory_are_removed(pod: Pod) -> None:
    with serving(pod):
        pass
    (pod.paths[DATA] / "data").chmod(0o2770)
    with serving(pod):
        assert psql(pod, "SELECT 1") == "1"


def test_the_sidecar_updates_a_running_server(pod: Pod) -> None:
    sidecar = container(wanted(), "StatefulSet/shop-postgres", "reload")["command"]
    script = sidecar[2].replace("sleep 5", "sleep 0.2")
    with pod.running(*sidecar[:2], script), serving(pod):
        changed = files(wanted(), "shop-postgres")
        conf = changed["reloadable.conf"].replace("'1s'", "'7s'")
        hurried = changed["bootstrap.sql"].replace("'15s'", "'16s'")
        passwords = {"passwords/app": "second"}
        pod.write(
            "/etc/postgresql",
            {"reloadable.conf": conf, "bootstrap.sql": hurried, **passwords},
        )
        eventually(lambda: "reloaded the new" in pod.output(), "the sidecar reloads")
        eventually(
            lambda: psql(pod, "SHOW log_min_duration_statement", password="second") == "7s",
            "settings and password are new",
        )
        assert psql(pod, "SHOW statement_timeout", password="second") == "16s"


@pytest.mark.parametrize(
    ("memory", "storage", "pooler"),
    [("128Mi", "1Gi", {}), ("128Mi", "1Gi", {"engine": "None"}), ("64Ti", "1Pi", {})],
)
def test_postgresql_accepts_the_sizes_of_the_smallest_and_the_largest_server(
    pod: Pod, memory: str, storage: str, pooler: dict[str, str]
) -> None:
    limits = {"cpu": "10m" if memory == "128Mi" else "4096", "memory": memory}
    spec = {"resources": {"limits": limits}, "storage": {"size": storage}, "pooler": pooler}
    pod.write("/etc/postgresql", files(wanted(postgres=spec), "shop-postgres"))
    config = "config_file=/etc/postgresql/postgresql.conf"
    asked = pod.run("postgres", "-C", "shared_buffers", "-D", DATA, "-c", config)
    assert asked.returncode == 0, asked.stderr
    assert int(asked.stdout) > 0
