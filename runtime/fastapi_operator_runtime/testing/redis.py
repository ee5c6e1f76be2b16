"""A real Redis, configured as the operator configures a cache."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence

from fastapi_operator_runtime.testing import server


class RedisServer(server.Server):
    """Redis with the operator's settings for a cache: user `app` by ACL, no persistence."""

    name = "redis"

    def __init__(self) -> None:
        super().__init__()
        self._program = server.find_program(("redis-server", "valkey-server"), "redis-server")
        self.password = secrets.token_urlsafe(12)

    def prepare(self) -> None:
        """Writes redis.conf."""
        self.directory.chmod(0o755)
        (self.directory / "redis.conf").write_text(
            "bind 127.0.0.1\n"
            f"port {self.port}\n"
            'save ""\n'
            "appendonly no\n"
            "maxmemory 32mb\n"
            "maxmemory-policy allkeys-lru\n"
            "user default off\n"
            f"user app on >{self.password} ~* &* +@all -@admin\n"
        )
        if os.geteuid() == 0:
            server.give_to_unprivileged(self.directory)

    def command(self) -> Sequence[str]:
        """With its configuration file."""
        return [self._program, str(self.directory / "redis.conf")]

    @property
    def url(self) -> str:
        """Returns a redis:// URL with user and password."""
        return f"redis://app:{self.password}@127.0.0.1:{self.port}/0"
