"""Hypothetical indexes on a real PostgreSQL with HypoPG."""

import asyncio
import re
from collections.abc import Iterator, Sequence

import pytest
from fastapi_operator_runtime import testing

from fastapi_operator.cli.missing_indexes import NotTriedError, Session, Tried, find_in
from tests.cluster import packages

SCHEMA = """
CREATE TABLE orders AS SELECT g AS id, g % 5000 AS customer, (g % 7)::text AS status,
    now() - g * interval '1 min' AS created FROM generate_series(1, 60000) g;
CREATE TABLE "user" AS SELECT g AS id, 'User' || g AS "eMail" FROM generate_series(1, 60000) g;
CREATE TABLE countries AS SELECT g AS id, 'c' || g AS code FROM generate_series(1, 200) g;
CREATE INDEX ON orders (id);
ANALYZE;
"""
OBJECTS = """
SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc),
       (SELECT count(*) FROM pg_extension), (SELECT count(*) FROM pg_auth_members)
"""
BY_CUSTOMER = "SELECT * FROM orders WHERE customer = 7"
# The planner calls the second one, because its result is a constant.
TRAP = """
CREATE FUNCTION spring() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN COPY (SELECT 1) TO PROGRAM 'touch {file}'; EXCEPTION WHEN OTHERS THEN NULL; END;
    RETURN 7;
END $$;
CREATE FUNCTION trap() RETURNS int IMMUTABLE LANGUAGE plpgsql
    AS $$ BEGIN RETURN spring(); END $$
"""


class Database(testing.PostgresServer):
    """A server with the statistics of the operator's, the superuser app, and the app's role web."""

    def command(self) -> Sequence[str]:
        preloaded = "shared_preload_libraries=pg_stat_statements"
        return [*super().command(), "-c", preloaded, "-c", "max_parallel_workers_per_gather=0"]

    def start_shop(self) -> None:
        self.execute("CREATE DATABASE shop")
        for statement in (
            f"CREATE ROLE web LOGIN PASSWORD '{self.password}'",
            "CREATE EXTENSION pg_stat_statements",
            "GRANT CREATE ON SCHEMA public TO web",
        ):
            self.execute(statement, "shop")
        self.as_web(SCHEMA)
        self.objects = self.execute(OBJECTS, "shop")

    def address(self, role: str) -> str:
        return self.url("shop").replace("//app:", f"//{role}:")

    def as_web(self, *statements: str) -> None:
        for statement in statements:
            testing.postgres.psql(self.address("web"), "-c", statement)

    def find(self, *statements: str, role: str = "app", roles: tuple[str, ...] = ("web",)) -> Tried:
        """Runs statements as the app does, and returns the indexes that they miss."""
        self.execute("SELECT pg_stat_statements_reset()", "shop")
        self.as_web(*statements)
        command = ("psql", "-X", "-d", self.address(role), "-f", "-")
        return asyncio.run(find_in(Session(command, {}, roles)))

    def proposed(self, *statements: str) -> list[str]:
        changes = [one.change for one in self.find(*statements).diagnoses]
        return [change.partition("CREATE INDEX CONCURRENTLY ON ")[2] for change in changes]


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    version = testing.postgres.postgres_directory().parent.name
    control = f"/usr/share/postgresql/{version}/extension/hypopg.control"
    packages.ensure({control: f"postgresql-{version}-hypopg"})
    with Database() as server:
        server.start_shop()
        yield server


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (BY_CUSTOMER, "public.orders (customer)"),
        ("UPDATE orders SET status = 'x' WHERE customer = -7", "public.orders (customer)"),
        ("SELECT * FROM orders ORDER BY created DESC LIMIT 9", "public.orders (created)"),
        ('SELECT * FROM "user" WHERE "eMail" = \'User7\'', 'public."user" ("eMail")'),
        (
            "SELECT * FROM \"user\" WHERE lower(\"eMail\") = 'it''s \\n'",
            'public."user" ((lower("eMail")))',
        ),
    ],
)
def test_the_index_that_a_slow_statement_would_use_is_proposed(
    database: Database, statement: str, index: str
) -> None:
    assert database.proposed(statement) == [index]


def test_one_index_serves_several_statements(database: Database) -> None:
    (found,) = database.find(BY_CUSTOMER, f"{BY_CUSTOMER} AND status = '3'").diagnoses
    assert found.diagnosis.startswith("a statement (and 1 more) reads all 60,000 rows")
    before, after = re.findall(r"\d+", found.signals["planner's cost"].replace(",", ""))
    assert int(before) > 10 * int(after)


def test_nothing_is_proposed_where_the_planner_would_not_use_it(database: Database) -> None:
    assert not database.proposed(
        "SELECT * FROM orders WHERE id = 7",
        "SELECT count(*) FROM orders",
        "SELECT * FROM orders WHERE status <> '3'",
        "SELECT * FROM countries WHERE code = 'c7'",
    )


def test_a_trial_leaves_no_object_in_the_database(database: Database) -> None:
    assert database.proposed(BY_CUSTOMER)
    assert database.execute(OBJECTS, "shop") == database.objects


def test_a_function_that_the_planner_calls_has_only_the_rights_of_the_app(
    database: Database,
) -> None:
    file = database.directory / "data/touched"
    database.as_web(TRAP.format(file=file))
    database.find("SELECT * FROM orders WHERE customer = trap()")
    assert not file.exists()
    database.as_web("DROP FUNCTION trap, spring")


def test_a_role_of_an_external_database_needs_the_extension(database: Database) -> None:
    with pytest.raises(NotTriedError, match="permission denied to create extension"):
        database.find(BY_CUSTOMER, role="web", roles=())
    database.execute("CREATE EXTENSION hypopg", "shop")
    try:
        assert database.find(BY_CUSTOMER, role="web", roles=()).diagnoses
    finally:
        database.execute("DROP EXTENSION hypopg", "shop")
