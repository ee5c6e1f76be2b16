"""How a database that is not run here is reached: which keys of which Secret say so.

No builder sees a value. A pod gets them as files, where PgBouncer reads them, or as environment.
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
    """A key of a Secret that pods see as a file."""

    secret: str
    key: str


@dataclass(frozen=True)
class Access:
    """The way to a database whose credentials stand in a Secret.

    Attributes:
        secret: Name of the Secret.
        keys: The key of ``host``, ``dbname``, ``username``, ``password`` and, where there is
            one, ``port``.
        ssl_mode: What is asked of the server, in libpq's words.
        authority: The certificate of its authority; None where it is not verified.
        session: SQL that PgBouncer runs on each connection, where no role carries the settings.
    """

    secret: str
    keys: Mapping[str, str]
    ssl_mode: str
    authority: SecretFile | None
    session: str = ""

    @property
    def port(self) -> int | None:
        """The port of the server; None where the Secret says it."""
        return None if "port" in self.keys else Part.DATABASE.port


def access(inputs: Inputs) -> Access | None:
    """The way of the app, or of its pooler; None where the database is run here."""
    postgres = inputs.spec.postgres
    if postgres is not None and postgres.mode == "CloudNativePG":
        return _by_cloud_native_pg(inputs)
    if postgres is None or postgres.secret_ref is None:
        return None
    return _by_secret(postgres.secret_ref, postgres.tls or DatabaseTls())


def migrators_access(inputs: Inputs) -> Access | None:
    """The way of a migration, which is the schema's owner."""
    postgres = inputs.spec.postgres
    if postgres is not None and postgres.mode == "CloudNativePG":
        return _by_cloud_native_pg(inputs)
    if postgres is None or postgres.secret_ref is None:
        return None
    secret = postgres.migration_secret_ref or postgres.secret_ref
    return _by_secret(secret, postgres.tls or DatabaseTls())


def authority_sources(way: Access) -> list[dict[str, Any]]:
    """The projected source that makes the authority's certificate a file; none without one."""
    if way.authority is None:
        return []
    items = [{"key": way.authority.key, "path": CA_FILE}]
    # Optional: a server that cannot verify says so, a volume that cannot be mounted just waits.
    return [{"secret": {"name": way.authority.secret, "optional": True, "items": items}}]


def _by_cloud_native_pg(inputs: Inputs) -> Access:
    """By the Secrets that CloudNativePG makes beside its Cluster; one role is owner and app."""
    cluster, granted = inputs.name_of(Part.DATABASE), inputs.plan.database
    assert granted is not None, "there is a database"
    statement = 1000 * granted.statement_timeout_seconds.value
    idle = 1000 * granted.idle_in_transaction_seconds.value
    return Access(
        secret=f"{cluster}-app",
        keys={name: name for name in ("host", "dbname", "username", "password")},
        ssl_mode=_SSL_MODES["VerifyFull"],
        authority=SecretFile(f"{cluster}-ca", CA_FILE),
        # Of the connection, not of the role: a migration with the same role takes its time.
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
