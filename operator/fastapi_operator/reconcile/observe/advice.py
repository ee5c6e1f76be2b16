"""Remedies for the output of a process that ended: what to change in the service or the image.

The output itself explains all other errors, but does not name the field of the service.
"""

import re

_DIRECT = "use DATABASE_DIRECT_URL for this connection; spec.connections.database.direct sets it"

# The pattern of an output, and the remedy.
_ADVICE = (
    (
        r"Read-only file system|\[Errno 30\]|EROFS",
        "the file system of the image is read-only: let the process write below /tmp, or mount an "
        "emptyDir at that directory with spec.volumes and spec.volumeMounts",
    ),
    (
        r"(?:ddtrace-run|newrelic-admin)\W.*(?:executable file not found|no such file)",
        "the image has no agent: add the package ddtrace or newrelic to it, with its programs on "
        "the PATH, or remove spec.observability.agent",
    ),
    (
        r"executable file not found|no such file or directory: unknown$",
        "the program is not on the PATH of the image: install it, put its virtual environment on "
        "the PATH in the Dockerfile, for example ENV PATH=/app/.venv/bin:$PATH, or set "
        "spec.command with its full path",
    ),
    (
        r"pass the application as an import string",
        'uvicorn starts several workers only if the app is a string: uvicorn.run("main:app"); or '
        "set spec.server.workerPolicy: Fixed with workers: 1",
    ),
    (
        r"Error loading ASGI app|Could not import module|Failed to find attribute|AppImportError",
        "set spec.app to module:attribute, as seen from the working directory of the image",
    ),
    (
        r"permission denied for (?:schema|database)",
        "the role of the app cannot create tables: create them in spec.postgres.migrations; "
        "without migrations, the role of a managed database can create them",
    ),
    (
        r"(?:relation|table) \S+ does not exist|no such table",
        "nothing has created the table: set spec.postgres.migrations, or create it at start",
    ),
    (
        r"uid not found: [0-9]+|user with ID [0-9]+ does not exist",
        "the user of the pod has no entry in /etc/passwd of the image; HOME and USER are set",
    ),
    (
        r"\[Errno 13\] Permission denied: '/|can't open file '/[^']*': \[Errno 13\]",
        "the user of the pod cannot read the file: add RUN chmod -R a+rX to the Dockerfile",
    ),
    (
        r"address already in use|\[Errno 98\]",
        "another process of the pod has the port: set spec.port to the port of the command",
    ),
    # The addresses and credentials of the stores.
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


def advice(output: str) -> str:
    """Returns the remedy for the output of a process; empty if none is known."""
    known = (remedy for pattern, remedy in _ADVICE if re.search(pattern, output, re.IGNORECASE))
    return next(known, "")
