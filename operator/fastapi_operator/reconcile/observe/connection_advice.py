"""Remedies for a process that cannot use the address or the credentials of its stores.

The output itself does not name the field of the service that is missing.
"""

import re

_DIRECT = "use DATABASE_DIRECT_URL for this connection; spec.connections.database.direct sets it"

# The pattern of an output, and the remedy.
_ADVICE = (
    (
        r"asyncio extension requires an async driver",
        "set spec.connections.database.driver to the async driver of the image, for example "
        "asyncpg",
    ),
    (
        r"No module named '(?:psycopg2|MySQLdb)'",
        "a URL without a driver means psycopg2 to SQLAlchemy: set spec.connections.database.driver "
        "to the driver of the image, for example asyncpg or psycopg",
    ),
    (
        r"invalid DSN: scheme is expected to be",
        "asyncpg itself takes no driver in the URL: remove spec.connections.database.driver, or "
        "remove +asyncpg from the URL in the app",
    ),
    (
        r"(?:\b(?:POSTGRES|PG|DB|DATABASE|SQLALCHEMY|REDIS|CACHE|CELERY|BROKER)\w*"
        r"\s+Field required|KeyError: '(?:POSTGRES|PG|DB|DATABASE|SQLALCHEMY|REDIS|CACHE|CELERY"
        r"|BROKER)\w*')",
        "the app reads a name of its own: map it in spec.connections (docs/connections.md)",
    ),
    (
        r"SASL authentication failed|password authentication failed for user \"?migrator",
        "the pooler or the database rejects the user or the password: remove variables that "
        "replace a part of DATABASE_URL, and map the app's own names in spec.connections",
    ),
    (
        r"WRONGPASS|NOAUTH",
        "if the client sends a password and no user, set user: Default in "
        "spec.connections.redis or spec.connections.queue",
    ),
    (
        r"prepared statement \S+ (?:does not exist|already exists)|DuplicatePreparedStatement",
        f"a pooler in transaction mode keeps no SQL PREPARE: {_DIRECT}",
    ),
    (
        r"unsupported startup parameter",
        "the pooler accepts no settings at the start of a session: set them on the role, or "
        f"{_DIRECT}",
    ),
    (
        r"cursor \S+ does not exist|you don't own a lock of type",
        f"a pooler in transaction mode keeps no session: {_DIRECT}",
    ),
)


def connection_advice(output: str) -> str:
    """Returns the remedy for the last output of a process; empty if none is known."""
    return next((remedy for pattern, remedy in _ADVICE if re.search(pattern, output)), "")
