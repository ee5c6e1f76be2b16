"""The sidecar of a migration, beside sessions of a real PostgreSQL."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastapi_operator.resources.migration_checks import DIRECTORY, MESSAGE_FILE
from tests.unit.resources.operands import Pod, container, eventually, wanted
from tests.unit.resources.test_database import DATA, configure, owner, psql, serving

FRESH = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO app"
TABLE = "CREATE TABLE orders (id int, buyer int); INSERT INTO orders SELECT 1, 1"
INDEX = "CREATE INDEX CONCURRENTLY orders_buyer ON orders (buyer)"
LOCK_TIMEOUT_SECONDS = 2
PASSWORDS = {"app": "first", "migrator": "owner"}


@pytest.fixture(scope="module")
def server() -> Iterator[Pod]:
    with tempfile.TemporaryDirectory(prefix="operands-") as folder:
        Path(folder).chmod(0o755)
        pod = Pod(Path(folder))
        for path in ("/etc/postgresql", "/run/postgresql", DATA):
            pod.directory(path)
        pod.port(5432)
        configure(pod)
        with serving(pod):
            yield pod


@pytest.fixture
def database(server: Pod) -> Pod:
    owner(server, FRESH)
    return server


class Checks:
    """The sidecar of one migration, run until it is asked to end."""

    def __init__(self, database: Pod, root: Path, lock_timeout: int) -> None:
        self.pod = Pod(root)
        self.pod.ports = database.ports
        self.pod.directory(DIRECTORY)
        self.pod.paths[MESSAGE_FILE] = self.pod.directory("/message") / "report"
        migrations = {"lockTimeoutSeconds": lock_timeout}
        objects = wanted(postgres={"migrations": migrations})
        (job,) = [key for key in objects if key.startswith("Job/")]
        self.command = container(objects, job, "checks")["command"]

    def environment(self, **changes: str) -> list[str]:
        values = {
            **{"PGHOST": "127.0.0.1", "PGPORT": "5432", "PGDATABASE": "app"},
            **{"PGUSER": "migrator", "PGPASSWORD": "owner"},
        }
        return ["env", *(f"{name}={value}" for name, value in (values | changes).items())]

    @contextmanager
    def running(self, *, restarted: bool = False) -> Iterator[None]:
        """Runs the sidecar for the length of a block, which is the migration."""
        started = self.pod.paths[DIRECTORY] / "started"
        if not restarted:
            started.unlink(missing_ok=True)
        self.pod.paths[MESSAGE_FILE].unlink(missing_ok=True)
        with self.pod.running(*self.environment(), *self.command):
            eventually(started.exists, "the migration may start", 10)
            time.sleep(1 if restarted else 0)
            yield

    @property
    def report(self) -> str:
        return self.pod.paths[MESSAGE_FILE].read_text()


@pytest.fixture
def checks(database: Pod, tmp_path: Path) -> Checks:
    return Checks(database, tmp_path, LOCK_TIMEOUT_SECONDS)


@contextmanager
def session(database: Pod, statements: str, *, role: str = "app") -> Iterator[None]:
    """A session that keeps the locks of its statements."""
    process = run(database, "BEGIN", statements, "SELECT pg_sleep(600)", role=role)
    sleeping = f"FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = '{role}'"

    def ask(statement: str) -> str:
        return psql(database, statement, role=role, password=PASSWORDS[role])

    eventually(lambda: ask(f"SELECT count(*) {sleeping}") == "1", "the session has its locks")
    try:
        yield
    finally:
        ask(f"SELECT pg_cancel_backend(pid) {sleeping}")
        process.communicate(timeout=20)


def run(database: Pod, *statements: str, role: str = "migrator") -> subprocess.Popen[str]:
    """Starts a session that runs statements one by one, and does not wait for them."""
    url = f"postgresql://{role}:{PASSWORDS[role]}@127.0.0.1:{database.port(5432)}/app"
    parts = [part for statement in statements for part in ("-c", statement)]
    return subprocess.Popen(
        ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", url, *parts],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def waiting(database: Pod) -> str:
    """The number of sessions that wait for a lock of a table."""
    count = "SELECT count(DISTINCT pid) FROM pg_locks"
    return owner(database, f"{count} WHERE NOT granted AND locktype = 'relation'")


def test_the_roles_of_migrations_and_dumps_have_no_lock_timeout(database: Pod) -> None:
    assert owner(database, "SHOW lock_timeout") == "0"


def test_a_statement_that_makes_others_wait_is_cancelled(database: Pod, checks: Checks) -> None:
    owner(database, f"{TABLE}; GRANT SELECT ON orders TO app")
    with checks.running(), session(database, "SELECT * FROM orders"):
        migration = run(database, "ALTER TABLE orders ADD COLUMN paid boolean")
        time.sleep(LOCK_TIMEOUT_SECONDS + 2)
        # It waits alone, so it harms no request.
        assert migration.poll() is None
        begun = time.monotonic()
        request = run(database, "SELECT count(*) FROM orders", role="app")
        output, _ = request.communicate(timeout=20)
        assert request.returncode == 0, output
        assert LOCK_TIMEOUT_SECONDS <= time.monotonic() - begun < LOCK_TIMEOUT_SECONDS + 4
        output, _ = migration.communicate(timeout=20)
        assert "canceling statement due to user request" in output
    assert "cancelled a statement: it waited for session" in checks.report
    assert "(role app)" in checks.report


def test_no_limit_is_applied_if_the_timeout_is_zero(database: Pod, tmp_path: Path) -> None:
    owner(database, f"{TABLE}; GRANT SELECT ON orders TO app")
    checks = Checks(database, tmp_path, 0)
    with checks.running(), session(database, "SELECT * FROM orders"):
        migration = run(database, "ALTER TABLE orders ADD COLUMN paid boolean")
        eventually(lambda: waiting(database) == "1", "the migration waits")
        request = run(database, "SELECT count(*) FROM orders", role="app")
        eventually(lambda: waiting(database) == "2", "the request waits behind it")
        time.sleep(3)
        assert migration.poll() is None
        assert request.poll() is None
    assert migration.wait(20) == 0
    assert request.wait(20) == 0


def test_a_concurrent_index_build_is_not_limited(database: Pod, checks: Checks) -> None:
    owner(database, f"{TABLE}; GRANT SELECT ON orders TO app")
    building = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'virtualxid'"
    with checks.running():
        with session(database, "SELECT * FROM orders"):
            migration = run(database, INDEX)
            eventually(lambda: owner(database, building) == "1", "the build waits")
            # Another change of the table waits behind the index build.
            other = run(database, "ALTER TABLE orders ADD COLUMN paid boolean")
            time.sleep(LOCK_TIMEOUT_SECONDS + 3)
            assert migration.poll() is None
            other.terminate()
        assert migration.wait(20) == 0, migration.communicate()
    assert "cancelled" not in checks.report
    assert "unfinished" not in checks.report


def test_an_advisory_lock_is_not_limited(database: Pod, checks: Checks) -> None:
    with checks.running():
        with session(database, "SELECT pg_advisory_lock(7)", role="migrator"):
            second = run(database, "SELECT pg_advisory_lock(7)")
            third = run(database, "SELECT pg_advisory_lock(7)")
            time.sleep(LOCK_TIMEOUT_SECONDS + 3)
            assert second.poll() is None
            assert third.poll() is None
        assert second.wait(20) == 0
        assert third.wait(20) == 0


def test_a_dump_waits_for_a_lock_as_long_as_needed(database: Pod, checks: Checks) -> None:
    owner(database, TABLE)
    url = f"postgresql://migrator:owner@127.0.0.1:{database.port(5432)}/app"
    with checks.running():
        with session(database, "LOCK TABLE orders", role="migrator"):
            dump = subprocess.Popen(["pg_dump", "-d", url], stdout=subprocess.DEVNULL)
            time.sleep(LOCK_TIMEOUT_SECONDS + 3)
            assert dump.poll() is None
        assert dump.wait(20) == 0


def test_sessions_of_the_app_are_never_cancelled(database: Pod, checks: Checks) -> None:
    owner(database, f"{TABLE}; GRANT SELECT, UPDATE ON orders TO app")
    with checks.running(), session(database, "UPDATE orders SET buyer = 2"):
        second = run(database, "UPDATE orders SET buyer = 3", role="app")
        third = run(database, "UPDATE orders SET buyer = 4", role="app")
        time.sleep(LOCK_TIMEOUT_SECONDS + 3)
        assert second.poll() is None
        assert third.poll() is None
    second.wait(20), third.wait(20)
    assert "cancelled" not in checks.report


def test_an_invalid_index_is_reported_also_after_a_retry(database: Pod, checks: Checks) -> None:
    owner(database, "CREATE TABLE alembic_version (version_num text)")
    owner(database, f"INSERT INTO alembic_version VALUES ('one'); {TABLE}")
    owner(database, "INSERT INTO orders VALUES (1, 1)")
    unique = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS orders_id ON orders (id)"
    with checks.running():
        assert "could not create unique index" in owner(database, unique)
    expected = "unfinished: index public.orders_id is invalid"
    assert expected in checks.report
    assert "revision: one -> one" in checks.report
    # The next attempt skips the index, and succeeds.
    with checks.running():
        assert "skipping" in owner(database, unique)
        owner(database, "UPDATE alembic_version SET version_num = 'two'")
    assert expected in checks.report
    assert "DROP INDEX CONCURRENTLY public.orders_id;" in checks.report


def test_the_reported_statements_complete_the_migration(database: Pod, checks: Checks) -> None:
    owner(database, f"{TABLE}; INSERT INTO orders VALUES (1, -1)")
    owner(database, "CREATE UNIQUE INDEX CONCURRENTLY orders_id ON orders (id)")
    owner(database, "ALTER TABLE orders ADD CONSTRAINT positive CHECK (buyer > 0) NOT VALID")
    with checks.running():
        pass
    report = checks.report
    assert "constraint positive of table public.orders is not validated" in report
    owner(database, "DELETE FROM orders WHERE buyer < 0")
    statements = [
        part.partition("; or")[0].rstrip(";")
        for line in report.splitlines()
        if (part := line.partition(": run ")[2])
    ]
    assert len(statements) == 2
    for statement in statements:
        assert "ERROR" not in owner(database, statement)
    with checks.running():
        pass
    assert "unfinished" not in checks.report


def test_several_heads_are_reported(database: Pod, checks: Checks) -> None:
    owner(database, "CREATE TABLE alembic_version (version_num text)")
    with checks.running():
        owner(database, "INSERT INTO alembic_version VALUES ('b'), ('a')")
    assert "revision: none -> a,b" in checks.report
    assert "table public.alembic_version has several revisions, a and b" in checks.report


def test_an_index_of_a_partitioned_table_may_be_invalid(database: Pod, checks: Checks) -> None:
    owner(database, "CREATE TABLE events (day date) PARTITION BY RANGE (day)")
    owner(database, "CREATE INDEX events_day ON ONLY events (day)")
    with checks.running():
        pass
    assert checks.report == ""


def test_the_report_fits_into_a_termination_message(database: Pod, checks: Checks) -> None:
    owner(database, f"CREATE TABLE {'t' * 63} (id int)")
    for number in range(9):
        name = f"{number}{'c' * 62}"
        owner(database, f'ALTER TABLE {"t" * 63} ADD CONSTRAINT "{name}" CHECK (id > 0) NOT VALID')
    with checks.running():
        pass
    assert len(checks.report.encode()) < 4096
    assert "unfinished: 4 more; read the log of container checks" in checks.report


def test_a_migration_does_not_start_without_its_database(database: Pod, checks: Checks) -> None:
    environment = checks.environment(PGPASSWORD="wrong")
    script = checks.command[2].replace("sleep 1 &", "sleep 0.1 &")
    result = checks.pod.run(*environment, *checks.command[:2], script)
    assert result.returncode == 1
    assert "the migration has not started" in result.stdout
    assert "password authentication failed" in result.stdout
    assert not (checks.pod.paths[DIRECTORY] / "started").exists()


def test_a_restarted_sidecar_keeps_the_first_revision(database: Pod, checks: Checks) -> None:
    owner(database, "CREATE TABLE alembic_version (version_num text)")
    owner(database, "INSERT INTO alembic_version VALUES ('one')")
    with checks.running():
        owner(database, "UPDATE alembic_version SET version_num = 'two'")
    with checks.running(restarted=True):
        pass
    assert "revision: one -> two" in checks.report
    assert psql(database, "SELECT 1") == "1"
