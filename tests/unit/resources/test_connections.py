"""The address and credentials of each process, in every mode of every store."""

from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.resources.environment import environment
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.variable import Process
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import service

WORKER = {"name": "worker", "command": ["work"]}
NIGHTLY = {"name": "nightly", "command": ["tidy"], "schedule": "0 2 * * *"}
EXTERNAL = {
    "mode": "External",
    "secretRef": {"name": "db"},
    "migrationSecretRef": {"name": "owner"},
    "maxConnections": 50,
    "migrations": {},
}
PARTS = ("HOST", "PORT", "NAME", "USERNAME", "PASSWORD")


def variables(process: Process, **spec: Any) -> dict[str, Any]:
    """The variables of a process; a reference to a Secret is shown as secret/key."""
    given = service(background=[WORKER], schedules=[NIGHTLY], **spec)
    plan = derive(given, Settings(), Facts())
    own = {Process.BACKGROUND: plan.background, Process.SCHEDULE: plan.schedules}.get(process)
    inputs = Inputs(given, plan, Settings(), Facts(), process=own[0] if own else None)
    return {
        entry["name"]: entry["value"] if "value" in entry else _shown(entry["valueFrom"])
        for entry in environment(inputs, process)
    }


def _shown(source: dict[str, Any]) -> str:
    reference = source["secretKeyRef"]
    return f"{reference['name']}/{reference['key']}"


def expanded(found: dict[str, Any], name: str) -> str:
    """A variable as Kubernetes expands it."""
    text = found[name]
    for other, value in found.items():
        text = text.replace(f"$({other})", value)
    return str(text)


@pytest.mark.parametrize("process", [Process.APP, Process.BACKGROUND, Process.SCHEDULE])
def test_a_process_of_the_released_version_connects_to_the_pooler_as_the_app(
    process: Process,
) -> None:
    found = variables(process, postgres={"migrations": {}})
    assert [found[f"DATABASE_{part}"] for part in PARTS] == [
        "shop-pooler",
        "5432",
        "app",
        "shop-postgres/username",
        "shop-postgres/password",
    ]
    assert expanded(found, "DATABASE_URL") == (
        "postgresql://shop-postgres/username:shop-postgres/password@shop-pooler:5432/app"
    )


def test_a_migration_connects_to_the_database_as_the_owner() -> None:
    found = variables(Process.MIGRATION, postgres={"migrations": {}})
    assert [found[f"DATABASE_{part}"] for part in PARTS] == [
        "shop-postgres",
        "5432",
        "app",
        "migrator",
        "shop-postgres/migrator",
    ]
    assert found["DATABASE_POOL_SIZE"] == "2"


@pytest.mark.parametrize("process", Process)
def test_every_process_has_the_same_names(process: Process) -> None:
    stores = {"postgres": {"migrations": {}}, "redis": {}, "queue": {}}
    wanted = {
        *(f"{store}_{part}" for store in ("DATABASE", "REDIS", "QUEUE") for part in PARTS),
        *("DATABASE_URL", "REDIS_URL", "QUEUE_URL"),
        *("DATABASE_POOL_SIZE", "DATABASE_MAX_OVERFLOW", "REDIS_MAX_CONNECTIONS"),
    }
    assert wanted - variables(process, **stores).keys() == set()


def test_a_process_that_opens_no_connection_gets_no_credentials() -> None:
    given = service(postgres={}, background=[{**WORKER, "connectionsPerProcess": 0}])
    plan = derive(given, Settings(), Facts())
    inputs = Inputs(given, plan, Settings(), Facts(), process=plan.background[0])
    found = {entry["name"] for entry in environment(inputs, Process.BACKGROUND)}
    assert not [name for name in found if name.startswith(("DATABASE", "PG"))]


@pytest.mark.parametrize(("process", "secret"), [(Process.APP, "db"), (Process.MIGRATION, "owner")])
def test_an_external_database_is_reached_by_the_keys_of_the_users_secret(
    process: Process, secret: str
) -> None:
    found = variables(process, postgres={**EXTERNAL, "pooler": {"engine": "None"}})
    keys = ("host", None, "dbname", "username", "password")
    assert [found[f"DATABASE_{part}"] for part in PARTS] == [
        f"{secret}/{key}" if key else "5432" for key in keys
    ]
    # A password may have characters that are not valid in a URL.
    assert found["DATABASE_URL"] == "postgresql://$(DATABASE_HOST):5432/$(DATABASE_NAME)"
    assert (found["PGUSER"], found["PGPASSWORD"]) == (f"{secret}/username", f"{secret}/password")
    assert found["PGSSLMODE"] == "require"


def test_the_pooler_of_an_external_database_has_a_password_of_its_own() -> None:
    found = variables(Process.APP, postgres=EXTERNAL)
    assert found["DATABASE_PASSWORD"] == "shop-pooler/password"
    assert not [name for name in found if name.startswith("PG")]


@pytest.mark.parametrize("process", Process)
def test_own_names_have_the_value_of_each_process(process: Process) -> None:
    names = {
        "POSTGRES_SERVER": "Host",
        "POSTGRES_PORT": "Port",
        "POSTGRES_DB": "Name",
        "POSTGRES_USER": "Username",
        "POSTGRES_PASSWORD": "Password",
        "DB_URI": "Url",
        "MAX_CONNECTION_COUNT": "PoolSize",
    }
    connections = {"database": {"driver": "asyncpg", "env": names}}
    found = variables(process, postgres={"migrations": {}}, connections=connections)
    contract = [f"DATABASE_{part}" for part in (*PARTS, "URL", "POOL_SIZE")]
    assert [found[name] for name in names] == [found[name] for name in contract]
    assert found["DB_URI"].startswith("postgresql+asyncpg://")


def test_own_names_of_cache_and_queue() -> None:
    found = variables(
        Process.BACKGROUND,
        redis={},
        queue={},
        connections={
            "redis": {"env": {"CACHE_HOST": "Host", "CACHE_POOL": "PoolSize"}},
            "queue": {"env": {"CELERY_BROKER_URL": "Url"}},
        },
    )
    assert found["CACHE_HOST"] == "shop-redis"
    assert found["CACHE_POOL"] == found["REDIS_MAX_CONNECTIONS"]
    assert found["CELERY_BROKER_URL"] == found["QUEUE_URL"]


def test_a_client_that_knows_only_a_password_connects_as_the_default_user() -> None:
    found = variables(Process.APP, redis={}, connections={"redis": {"user": "Default"}})
    assert found["REDIS_USERNAME"] == "default"
    assert found["REDIS_URL"] == "redis://default:$(REDIS_PASSWORD)@shop-redis:6379/0"


def test_an_external_cache_has_the_values_whose_keys_are_named() -> None:
    secret = {"name": "cache", "key": "uri", "keys": {"host": "h", "password": "p"}}
    found = variables(Process.APP, redis={"mode": "External", "secretRef": secret})
    cache = {name: value for name, value in found.items() if name.startswith("REDIS_")}
    assert {name: cache.get(name) for name in ("REDIS_HOST", "REDIS_PASSWORD", "REDIS_URL")} == {
        "REDIS_HOST": "cache/h",
        "REDIS_PASSWORD": "cache/p",
        "REDIS_URL": "cache/uri",
    }
    assert "REDIS_PORT" not in cache
    del secret["key"]
    assert "REDIS_URL" not in variables(
        Process.APP, redis={"mode": "External", "secretRef": secret}
    )


DIRECT = {"database": {"driver": "asyncpg", "direct": {"maxConnections": 4}}}


@pytest.mark.parametrize("process", Process)
def test_a_direct_url_bypasses_the_pooler_as_the_role_of_the_app(process: Process) -> None:
    found = variables(process, postgres={"migrations": {}}, connections=DIRECT)
    assert expanded(found, "DATABASE_DIRECT_URL") == (
        "postgresql://shop-postgres/username:shop-postgres/password@shop-postgres:5432/app"
    )


def test_a_direct_url_of_an_external_database_has_no_password_and_verifies_the_server() -> None:
    postgres = {**EXTERNAL, "tls": {"caRef": {"name": "ca"}}}
    found = variables(Process.APP, postgres=postgres, connections=DIRECT)
    assert found["DATABASE_URL"].endswith("@shop-pooler:5432/app")
    assert expanded(found, "DATABASE_DIRECT_URL") == (
        "postgresql://db/host:5432/db/dbname?sslmode=verify-full"
    )
    assert (found["PGUSER"], found["PGPASSWORD"]) == ("db/username", "db/password")
    assert found["PGSSLROOTCERT"] == "/etc/database/ca.crt"
    # It would apply to the pooler too, which has no TLS.
    assert "PGSSLMODE" not in found


def test_a_direct_url_in_a_migration_is_never_the_owners() -> None:
    found = variables(Process.MIGRATION, postgres=EXTERNAL, connections=DIRECT)
    assert found["PGUSER"] == "owner/username"
    assert "://db/username:db/password@db/host:" in expanded(found, "DATABASE_DIRECT_URL")


def test_a_direct_url_leads_past_a_pooler_of_the_user() -> None:
    postgres = {**EXTERNAL, "pooler": {"engine": "None"}}
    direct = {"maxConnections": 4, "host": "db.example.com", "driver": "asyncpg"}
    connections = {"database": {"direct": direct}}
    found = variables(Process.APP, postgres=postgres, connections=connections)
    assert expanded(found, "DATABASE_DIRECT_URL") == (
        "postgresql+asyncpg://db.example.com:5432/db/dbname?ssl=require"
    )
