"""Real servers for a test session, each with its own data directory and a free port.

    @pytest.fixture(scope="session")
    def postgres():
        with testing.PostgresServer() as server:
            yield server

If a program is missing, no test is skipped: the error names the package to install.
"""

from fastapi_operator_runtime.testing.app import AppServer
from fastapi_operator_runtime.testing.link import SlowLink
from fastapi_operator_runtime.testing.pgbouncer import PgBouncerServer, find_pgbouncer
from fastapi_operator_runtime.testing.postgres import PostgresServer, postgres_directory
from fastapi_operator_runtime.testing.redis import RedisServer
from fastapi_operator_runtime.testing.server import MissingProgram, free_port

__all__ = [
    "AppServer",
    "MissingProgram",
    "PgBouncerServer",
    "PostgresServer",
    "RedisServer",
    "SlowLink",
    "find_pgbouncer",
    "free_port",
    "postgres_directory",
]
