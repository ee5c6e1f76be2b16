"""A real PostgreSQL, without durability."""

from __future__ import annotations

import csv
import glob
import io
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fastapi_operator_runtime.testing import server


class PostgresServer(server.Server):
    """PostgreSQL with a superuser `app` and password authentication."""

    name = "postgres"

    def __init__(self) -> None:
        super().__init__()
        self._bin = postgres_directory()
        self.password = secrets.token_urlsafe(12)

    def prepare(self) -> None:
        """Runs initdb."""
        self.directory.chmod(0o755)
        password_file = self.directory / "password"
        password_file.write_text(self.password)
        if os.geteuid() == 0:
            server.give_to_unprivileged(self.directory, password_file)
        subprocess.run(
            [
                str(self._bin / "initdb"), f"--pgdata={self.directory / 'data'}", "--username=app",
                f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8",
                "--locale=C", "--no-sync", "--no-instructions",
            ],
            check=True, stdout=subprocess.DEVNULL, cwd=self.directory, **self.account(),
        )  # fmt: skip

    def command(self) -> Sequence[str]:
        """Without durability, because the data does not outlive the tests."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "16MB",
            "max_connections": "200",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self.directory / "data"), *flags]

    def is_ready(self) -> bool:
        """Whether it is ready for queries; during start-up it rejects connections with an error."""
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def kill(self) -> None:
        """PostgreSQL's own immediate shutdown, so that its children end too."""
        self._end(signal.SIGQUIT)

    def url(self, database: str = "postgres") -> str:
        """Returns a postgresql:// URL of `database`."""
        return f"postgresql://app:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Creates a database, a copy of `template` if given, and returns its URL."""
        copy = f' TEMPLATE "{template}"' if template else ""
        self.execute(f'CREATE DATABASE "{name}"{copy}')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Removes a database and closes its connections."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Runs one statement in psql and returns its plain output."""
        return psql(self.url(database), "-t", "-c", statement)

    def rows(self, statement: str, database: str = "postgres") -> list[dict[str, str]]:
        """Runs one query and returns its rows, by the names of their columns."""
        return rows(self.url(database), statement)


def postgres_directory() -> Path:
    """Returns the directory of initdb and postgres: Debian keeps them off PATH, by version.

    Raises:
        server.MissingProgram: PostgreSQL's server is not installed.
    """
    versions = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if versions:
        return Path(max(versions, key=lambda path: int(re.findall(r"\d+", path)[0]))).parent
    return Path(server.find_program(("initdb",), "postgresql")).resolve().parent


def psql(url: str, *arguments: str) -> str:
    """Runs psql and returns its plain output."""
    command = [str(postgres_directory() / "psql"), "-X", "-q", "-A", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run([*command, "-d", url, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def rows(url: str, query: str) -> list[dict[str, str]]:
    """Returns the rows of a query, by the names of their columns."""
    return list(csv.DictReader(io.StringIO(psql(url, "--csv", "-c", query))))
