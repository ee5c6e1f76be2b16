"""Access to an external database: the Secret and the keys that hold its address and credentials.

No builder sees a value. A pod gets the values as files, which PgBouncer reads, or as variables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator.api.postgres import DatabaseSecret, DatabaseTls, SecretKeys
from fastapi_operator.parts import Part
from fastapi_operator.resources.inputs import Inputs

CA_FILE = "ca.crt"

_SSL_MODES = {
    "Disable": "disable",
    "Require": "require",
    "VerifyCA": "verify-ca",
    "VerifyFull": "verify-full",
}


@dataclass(frozen=True)
class SecretFile:
    """A key of a Secret that is mounted as a file."""

    secret: str
    key: str


@dataclass(frozen=True)
class Access:
    """The access to a database whose credentials are in a Secret.

    Attributes:
        secret: Name of the Secret.
        keys: The key of ``host``, ``dbname``, ``username``, ``password`` and, if the Secret has
            one, ``port``.
        ssl_mode: The value of libpq's ``sslmode``.
        authority: The certificate of its authority; None if the server is not verified.
        session: SQL that PgBouncer runs on each connection, if no role has the settings.
    """

    secret: str
    keys: Mapping[str, str]
    ssl_mode: str
    authority: SecretFile | None
    session: str = ""

    @property
    def port(self) -> int | None:
        """The port of the server; None if the Secret holds it."""
        return None if "port" in self.keys else Part.DATABASE.port


@dataclass(frozen=True)
class Address:
    """The keys of a Secret that say which external database it means.

    Attributes:
        secret: Name of the Secret.
        host: The key of the host.
        database: The key of the database's name.
        port: The key of the port; None if the Secret has none.
    """

    secret: str
    host: str
    database: str
    port: str | None


def addresses(inputs: Inputs) -> tuple[Address, ...]:
    """Returns the addresses of an external database: that of migrations, then another of the app.

    A pooler of the user, for example, gives both a different host.
    """
    if inputs.runs_cluster:
        return ()
    found = (migrators_access(inputs), access(inputs))
    return tuple(
        dict.fromkeys(
            Address(item.secret, item.keys["host"], item.keys["dbname"], item.keys.get("port"))
            for item in found
            if item is not None
        )
    )


def access(inputs: Inputs) -> Access | None:
    """Returns the access of the app or its pooler; None if the service runs its own database."""
    postgres = inputs.spec.postgres
    if inputs.runs_cluster:
        return _by_cloud_native_pg(inputs)
    if postgres is None or postgres.secret_ref is None:
        return None
    return _by_secret(postgres.secret_ref, postgres.tls or DatabaseTls())


def migrators_access(inputs: Inputs) -> Access | None:
    """Returns the access of a migration, as the owner of the schema."""
    postgres = inputs.spec.postgres
    if inputs.runs_cluster:
        return _by_cloud_native_pg(inputs)
    if postgres is None or postgres.secret_ref is None:
        return None
    secret = postgres.migration_secret_ref or postgres.secret_ref
    return _by_secret(secret, postgres.tls or DatabaseTls())


def authority_sources(database: Access) -> list[dict[str, Any]]:
    """Returns the projected source of the authority's certificate; none without one."""
    if database.authority is None:
        return []
    items = [{"key": database.authority.key, "path": CA_FILE}]
    # Optional: a client without the file reports an error, a pod without its volume only waits.
    return [{"secret": {"name": database.authority.secret, "optional": True, "items": items}}]


def _by_cloud_native_pg(inputs: Inputs) -> Access:
    """By the Secrets of CloudNativePG's Cluster; one role is both owner and app."""
    cluster, granted = inputs.name_of(Part.DATABASE), inputs.plan.database
    assert granted is not None, "there is a database"
    statement = 1000 * granted.statement_timeout_seconds.value
    idle = 1000 * granted.idle_in_transaction_seconds.value
    return Access(
        secret=f"{cluster}-app",
        keys={name: name for name in ("host", "dbname", "username", "password")},
        ssl_mode=_SSL_MODES["VerifyFull"],
        authority=SecretFile(f"{cluster}-ca", CA_FILE),
        # On the connection, not on the role: a migration with the same role has no timeout.
        session=f"SET statement_timeout = {statement}; "
        f"SET idle_in_transaction_session_timeout = {idle};",
    )


def _by_secret(secret: DatabaseSecret, tls: DatabaseTls) -> Access:
    keys = secret.keys or SecretKeys()
    found = {
        "host": keys.host or "host",
        "dbname": keys.database or "dbname",
        "username": keys.username or "username",
        "password": keys.password or "password",
    }
    if keys.port is not None:
        found["port"] = keys.port
    authority = None
    if tls.ca_ref is not None:
        authority = SecretFile(tls.ca_ref.name, tls.ca_ref.key or CA_FILE)
    default = "VerifyFull" if authority else "Require"
    return Access(
        secret=secret.name,
        keys=found,
        ssl_mode=_SSL_MODES[tls.mode or default],
        authority=authority,
    )
