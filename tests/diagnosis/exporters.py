"""The exporters that run beside the servers in the cluster, from the images' Debian."""

import hashlib
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastapi_operator_runtime.testing import server

from tests.cluster import execution, images, packages, places, progress
from tests.cluster.made_once import made_once

NAMES = ("pgbouncer", "postgres", "redis")
_UNPACK = [
    "mmdebstrap",
    "--variant=extract",
    f"--include={','.join(f'prometheus-{name}-exporter' for name in NAMES)}",
    *images.APT_OPTIONS,
    images.SUITE,
]


def root() -> Path:
    """The folder with the unpacked packages of Debian; the first call takes a minute."""
    key = hashlib.sha256(shlex.join(_UNPACK).encode()).hexdigest()[:16]
    directory = places.cache() / "exporters" / key
    return made_once(directory, _unpack, lock="exporters", what="the exporters")


def _unpack(folder: Path) -> Path:
    packages.ensure(packages.FOR_IMAGES)
    made = folder / "made"
    made.mkdir()
    with progress.step("exporters"):
        execution.output_of([*_UNPACK, str(made)])
    shutil.rmtree(made / "usr/share")
    return made


class Exporter(server.Server):
    """A running exporter; its page is at ``url``."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        super().__init__()
        self.name = f"prometheus-{name}-exporter"
        self._environment = environment

    @property
    def url(self) -> str:
        """The URL of the metrics."""
        return f"http://127.0.0.1:{self.port}/metrics"

    def command(self) -> Sequence[str]:
        """The command, with the libraries of the package: the machine's own may be older."""
        (loader, *_) = sorted(root().glob("usr/lib/*-linux-gnu*/ld-linux-*.so.*"))
        return [
            *(str(loader), "--library-path", str(loader.parent)),
            str(root() / "usr/bin" / self.name),
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def environment(self) -> dict[str, str]:
        """The address of the server that it reads."""
        return dict(self._environment)

    def account(self) -> server.Account:
        """The user of the tests, which can read the cache folder."""
        return {}


def of_postgres(url: str) -> Exporter:
    """The exporter of PostgreSQL."""
    return Exporter("postgres", {"DATA_SOURCE_NAME": f"{url}?sslmode=disable"})


def of_pgbouncer(console: str) -> Exporter:
    """The exporter of PgBouncer, which reads its console."""
    variable = "PGBOUNCER_EXPORTER_CONNECTION_STRING"
    return Exporter("pgbouncer", {variable: f"{console}?sslmode=disable"})


def of_redis(port: int, password: str) -> Exporter:
    """The exporter of Redis."""
    environment = {
        "REDIS_ADDR": f"redis://127.0.0.1:{port}",
        "REDIS_USER": "app",
        "REDIS_PASSWORD": password,
    }
    return Exporter("redis", environment)
