"""A real PgBouncer in transaction mode, configured as the operator configures a pooler."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Sequence

from fastapi_operator_runtime.testing import postgres, server

OLDEST = (1, 21)
"""The first version that tracks prepared statements in transaction mode."""


class PgBouncerServer(server.Server):
    """PgBouncer in front of a PostgreSQL, for all its databases.

    Args:
        database: The PostgreSQL server.
        server_connections: Limit of connections to each database. If it is smaller than the number
            of clients, the next transaction of a client runs on another connection.
        prepared_statements: Statements kept for each connection; 0 tracks none.
    """

    name = "pgbouncer"

    def __init__(
        self,
        database: postgres.PostgresServer,
        *,
        server_connections: int = 3,
        prepared_statements: int = 200,
    ) -> None:
        super().__init__()
        self._program = find_pgbouncer()
        self._database = database
        self._server_connections = server_connections
        self._prepared_statements = prepared_statements

    def prepare(self) -> None:
        """Writes pgbouncer.ini; the superuser `app` may also open the console."""
        self.directory.chmod(0o755)
        users = self.directory / "userlist.txt"
        users.write_text(f'"app" "{self._database.password}"\n')
        (self.directory / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={self._database.port}\n"
            "[pgbouncer]\n"
            "listen_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\n"
            "unix_socket_dir =\n"
            "auth_type = scram-sha-256\n"
            f"auth_file = {users}\n"
            "admin_users = app\n"
            "pool_mode = transaction\n"
            f"max_prepared_statements = {self._prepared_statements}\n"
            "ignore_startup_parameters = extra_float_digits\n"
            "max_client_conn = 1000\n"
            f"default_pool_size = {self._server_connections}\n"
            "server_login_retry = 1\n"
        )
        if os.geteuid() == 0:
            server.give_to_unprivileged(self.directory)

    def command(self) -> Sequence[str]:
        """If root starts it, it changes its user itself, so a program below /root can be used."""
        user = ["-u", server.UNPRIVILEGED] if os.geteuid() == 0 else []
        return [self._program, *user, str(self.directory / "pgbouncer.ini")]

    def account(self) -> server.Account:
        """The tests' own user."""
        return {}

    def kill(self) -> None:
        """PgBouncer's immediate shutdown."""
        self._end(signal.SIGQUIT)

    def shut_down(self) -> None:
        """Ends it as the operator's pods do at last: it waits only for open transactions."""
        self._end(signal.SIGINT)

    def stop(self) -> None:
        """Does not wait for clients, because those of the tests can still be connected."""
        self.kill()

    def url(self, database: str = "postgres") -> str:
        """Returns a postgresql:// URL of `database` through the pooler."""
        return f"postgresql://app:{self._database.password}@127.0.0.1:{self.port}/{database}"

    def console(self, command: str) -> list[dict[str, str]]:
        """Returns the rows of a command, for example `SHOW CLIENTS`."""
        return postgres.rows(self.url("pgbouncer"), command)


def find_pgbouncer() -> str:
    """Returns PgBouncer in a version that tracks prepared statements.

    Raises:
        MissingProgram: PgBouncer is not installed, or it is too old.
    """
    found = server.find_program(("pgbouncer",), "pgbouncer")
    shown = subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout
    version = tuple(int(part) for part in re.findall(r"\d+", shown.splitlines()[0]))
    if version < OLDEST:
        raise server.MissingProgram(
            f"{found} is {shown.splitlines()[0]}: transaction mode needs 1.21 or later for "
            "prepared statements; put a newer one first on PATH"
        )
    return found
