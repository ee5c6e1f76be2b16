from __future__ import annotations

import concurrent.futures
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from fastapi_operator_runtime import testing

from shop import migrations

Run = Callable[..., subprocess.CompletedProcess[str]]
LOCK = 0x5B0FA57A
TABLES = (
    "SELECT string_agg(tablename, ',' ORDER BY tablename) "
    "FROM pg_tables WHERE schemaname = 'public'"
)


@pytest.fixture
def empty(postgres: testing.PostgresServer) -> Iterator[str]:
    yield postgres.create_database("empty")
    postgres.drop_database("empty")


def succeed(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, done.stderr
    return done


def test_migrations_can_be_applied_reverted_and_applied_again(
    run_alembic: Run, empty: str, postgres: testing.PostgresServer
) -> None:
    succeed(run_alembic(empty, "upgrade", "head"))
    tables = postgres.execute(TABLES, "empty")
    assert tables.startswith("alembic_version,items")
    succeed(run_alembic(empty, "downgrade", "base"))
    assert postgres.execute(TABLES, "empty") == "alembic_version"
    succeed(run_alembic(empty, "upgrade", "head"))
    assert postgres.execute(TABLES, "empty") == tables


def test_models_and_migrations_agree(run_alembic: Run, postgres: testing.PostgresServer) -> None:
    succeed(run_alembic(postgres.url("migrated"), "check"))


def test_success_writes_the_revisions_to_the_termination_message(
    run_alembic: Run, empty: str, tmp_path: Path
) -> None:
    message = tmp_path / "termination-log"
    message.touch()
    succeed(run_alembic(empty, "upgrade", "head", TERMINATION_LOG_PATH=str(message)))
    head = ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head()
    assert message.read_text() == json.dumps({"current": [head], "head": [head]}) + "\n"


def test_an_unwritable_termination_message_does_not_fail_the_migration(
    run_alembic: Run, empty: str, tmp_path: Path
) -> None:
    absent = tmp_path / "absent"
    succeed(run_alembic(empty, "upgrade", "head", TERMINATION_LOG_PATH=str(absent)))
    assert not absent.exists()


def test_a_failed_migration_changes_neither_database_nor_message(
    run_alembic: Run, empty: str, postgres: testing.PostgresServer, tmp_path: Path
) -> None:
    postgres.execute("CREATE TABLE reviews (id int)", "empty")
    message = tmp_path / "termination-log"
    message.touch()
    done = run_alembic(empty, "upgrade", "head", TERMINATION_LOG_PATH=str(message))
    assert done.returncode != 0
    assert 'relation "reviews" already exists' in done.stderr
    assert postgres.execute(TABLES, "empty") in ("reviews", "alembic_version,reviews")
    assert message.read_text() == ""


def test_concurrent_jobs_migrate_once(run_alembic: Run, empty: str) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in pool.map(lambda _: run_alembic(empty, "upgrade", "head"), range(2)):
            succeed(done)


def test_the_statement_timeout_of_the_role_does_not_apply_to_migrations(
    run_alembic: Run, empty: str, postgres: testing.PostgresServer
) -> None:
    postgres.execute("ALTER DATABASE empty SET statement_timeout = '1s'")
    holder = f"SET statement_timeout = 0; SELECT pg_advisory_lock({LOCK}); SELECT pg_sleep(3)"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        other = pool.submit(postgres.execute, holder, "empty")
        while postgres.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0":
            time.sleep(0.05)
        succeed(run_alembic(empty, "upgrade", "head"))
        other.result()


def test_statements_can_be_printed_without_a_database(run_alembic: Run) -> None:
    done = succeed(run_alembic("", "upgrade", "head", "--sql"))
    assert "CREATE TABLE items" in done.stdout


def test_a_missing_url_is_reported_in_one_sentence(run_alembic: Run) -> None:
    done = run_alembic("", "upgrade", "head")
    assert done.returncode != 0
    assert "DATABASE_URL is not set; set it to a postgresql:// URL" in done.stderr


def test_a_migration_imports_no_web_framework() -> None:
    """Every rollout waits for the migration, so its imports must be few."""
    program = "import shop.models, shop.settings, sys; print(*sys.modules)"
    command = [sys.executable, "-c", f"from fastapi_operator_runtime import database; {program}"]
    modules = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "sqlalchemy" in modules
    assert "fastapi" not in modules
