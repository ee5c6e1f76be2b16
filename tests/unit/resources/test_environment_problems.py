"""Variables that suit one process and break another, and names that are refused."""

from typing import Any

import pytest

from fastapi_operator.cli.validate import find_problems
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Problem, Severity
from fastapi_operator.settings import Settings
from tests.unit.services import body

IMAGE = "registry.example.com/shop:1.4.2"
MIGRATED = {"backup": {}, "migrations": {}}
WORKER = {"name": "worker", "command": ["work"], "connectionsPerProcess": 0}


def problems(**spec: Any) -> dict[str, Problem]:
    """The problems of variables and names, by path."""
    found = find_problems(body({"image": IMAGE, **spec}), Settings(), Facts())
    return {
        problem.path: problem for problem in found if ".env" in problem.path or "[" in problem.path
    }


def variable(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


def test_an_url_of_the_pooler_is_refused_if_it_also_reaches_a_migration() -> None:
    url = "postgresql+asyncpg://$(DATABASE_USERNAME):$(DATABASE_PASSWORD)@shop-pooler:5432/app"
    env = [variable("DATABASE_URL", url)]
    assert problems(env=env, postgres={"backup": {}}) == {}
    (problem,) = problems(env=env, postgres=MIGRATED).values()
    assert (problem.severity, problem.path) == (Severity.ERROR, "spec.env[DATABASE_URL]")
    assert "connections.database.driver" in problem.remedy


def test_an_url_of_parts_suits_every_process() -> None:
    url = "postgres://$(DATABASE_USERNAME):$(DATABASE_PASSWORD)@$(DATABASE_HOST):5432/app"
    assert problems(env=[variable("DATABASE_URL", url)], postgres=MIGRATED) == {}


def test_the_database_of_a_pooled_app_is_refused_without_direct_connections() -> None:
    env = [variable("LISTEN_URL", "postgresql://shop-postgres:5432/app")]
    assert "direct" in problems(env=env, postgres={})["spec.env[LISTEN_URL]"].remedy
    direct = {"database": {"direct": {"maxConnections": 2}}}
    assert problems(env=env, postgres={}, connections=direct) == {}
    assert problems(env=env, postgres={}, network={"policies": "Disabled"}) == {}


def test_a_host_with_a_longer_name_is_another_host() -> None:
    env = [variable("OTHER", "http://my-shop-pooler-admin.example.com")]
    assert problems(env=env, postgres=MIGRATED) == {}


def test_a_fixed_value_that_replaces_those_of_app_and_migration_is_a_warning() -> None:
    env = [variable("DATABASE_USERNAME", "somebody")]
    found = problems(env=env, postgres=MIGRATED)["spec.env[DATABASE_USERNAME]"]
    assert found.severity is Severity.WARNING
    own = {**MIGRATED, "migrations": {"env": env}}
    assert problems(env=env, postgres=own) == {}


@pytest.mark.parametrize(
    ("spec", "path", "label"),
    [
        ({"env": [variable("A", "$(B)")]}, "spec.env[A]", "the app"),
        ({"env": [variable("A", "$(B)"), variable("B", "1")]}, "spec.env[A]", "the app"),
        (
            {"postgres": {"backup": {}, "migrations": {"env": [variable("A", "$(B)")]}}},
            "spec.postgres.migrations.env[A]",
            "the migration",
        ),
        (
            {
                "postgres": {},
                "background": [{**WORKER, "env": [variable("A", "x$(DATABASE_URL)")]}],
            },
            "spec.background[worker].env[A]",
            "background worker",
        ),
        (
            {"postgres": {}, "background": [{**WORKER, "args": ["--db", "$(DATABASE_URL)"]}]},
            "spec.background[worker].args[1]",
            "background worker",
        ),
        (
            {"postgres": MIGRATED, "env": [variable("A", "$(WEB_CONCURRENCY)")]},
            "spec.env[A]",
            "the migration",
        ),
        (
            {"envFrom": [{"secretRef": {"name": "x"}}], "env": [variable("A", "$(REDIS_URL)")]},
            "spec.env[A]",
            "the app",
        ),
    ],
)
def test_a_reference_that_a_process_does_not_have_is_refused(
    spec: dict[str, Any], path: str, label: str
) -> None:
    (problem,) = problems(**spec).values()
    assert (problem.severity, problem.path) == (Severity.ERROR, path)
    assert label in problem.message


@pytest.mark.parametrize(
    "spec",
    [
        {"env": [variable("B", "1"), variable("A", "$(B)")]},
        {"env": [variable("A", "$$(B)")]},
        {"env": [variable("A", "$(B)")], "envFrom": [{"secretRef": {"name": "x"}}]},
        {"command": ["sh", "-c", "serve --started $(date +%s) --by $(whoami)"]},
        {"postgres": {}, "command": ["serve", "$(DATABASE_URL)"]},
    ],
)
def test_a_reference_that_can_be_expanded_is_accepted(spec: dict[str, Any]) -> None:
    assert problems(**spec) == {}


def test_a_variable_that_is_part_of_the_url_can_be_replaced() -> None:
    assert problems(env=[variable("DATABASE_PASSWORD", "x")], postgres={}) == {}


def named(section: str, **env: str) -> dict[str, Any]:
    return {"connections": {section: {"env": env}}, section: {}}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (
            {"env": [variable("HOST", "x")], "redis": {}, **named("redis", HOST="Host")},
            "spec.connections.redis.env.HOST",
        ),
        (named("redis", REDIS_URL="Url"), "spec.connections.redis.env.REDIS_URL"),
        (named("queue", WEB_CONCURRENCY="Port"), "spec.connections.queue.env.WEB_CONCURRENCY"),
        (
            {
                "redis": {},
                "queue": {},
                "connections": {
                    "redis": {"env": {"BROKER": "Url"}},
                    "queue": {"env": {"BROKER": "Url"}},
                },
            },
            "spec.connections.queue.env.BROKER",
        ),
        (
            {
                "redis": {"mode": "External", "secretRef": {"name": "cache"}},
                "connections": {"redis": {"env": {"CACHE_HOST": "Host"}}},
            },
            "spec.connections.redis.env.CACHE_HOST",
        ),
    ],
)
def test_a_name_without_one_clear_value_is_refused(spec: dict[str, Any], path: str) -> None:
    (problem,) = problems(**spec).values()
    assert (problem.severity, problem.path) == (Severity.ERROR, path)


def test_names_of_libpq_may_be_mapped_unless_a_direct_url_needs_them() -> None:
    names = {"PGHOST": "Host", "PGUSER": "Username", "PGPASSWORD": "Password"}
    external = {"mode": "External", "secretRef": {"name": "db"}, "maxConnections": 50}
    database: dict[str, Any] = {"env": names}
    assert problems(postgres=external, connections={"database": database}) == {}
    database["direct"] = {"maxConnections": 2}
    assert problems(postgres={"backup": {}}, connections={"database": database}) == {}
    found = problems(postgres=external, connections={"database": database})
    prefix = "spec.connections.database.env."
    assert set(found) == {f"{prefix}PGUSER", f"{prefix}PGPASSWORD"}
