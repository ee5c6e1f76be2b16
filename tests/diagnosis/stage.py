"""Two pods of an app as real processes, with real servers and exporters beside them."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi_operator_runtime import testing

from fastapi_operator.observability.readings import Pod
from fastapi_operator.parts import Part
from fastapi_operator.tuning.plan import Plan
from tests.cluster import debian
from tests.diagnosis import exporters
from tests.diagnosis.faults import Fault
from tests.unit.resources.nginx import Nginx

ROOT = Path(__file__).resolve().parents[2]
PROXY = "shop-proxy"
KILL_SECONDS = 60


class StatementsServer(testing.PostgresServer):
    """PostgreSQL with statistics of statements, as the operator configures it."""

    def command(self) -> Sequence[str]:
        """The command, with the library that counts statements."""
        return [*super().command(), "-c", "shared_preload_libraries=pg_stat_statements"]


@contextlib.contextmanager
def database() -> Iterator[testing.PostgresServer]:
    """Runs a database for successive faults, and provides PgBouncer."""
    os.environ["PATH"] = f"{debian.ensure('pgbouncer')}{os.pathsep}{os.environ['PATH']}"
    with StatementsServer() as server:
        server.execute("CREATE EXTENSION pg_stat_statements")
        yield server


class FaultyApp(testing.AppServer):
    """The faulty application, in the environment that has FastAPI."""

    def command(self) -> Sequence[str]:
        """The command, with the app's interpreter instead of the tests'."""
        return [str(ROOT / ".venv-app/bin/python"), *list(super().command())[1:]]

    def start(self) -> None:
        """Starts with a higher priority than the clients, which share its cores, if permitted."""
        super().start()
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, self.pid, -10)

    def wait_for_kill(self) -> None:
        """Waits until the kernel has killed it."""
        assert self._process is not None
        assert self._process.wait(timeout=KILL_SECONDS) == -signal.SIGKILL


@dataclass(frozen=True)
class Stage:
    """The running processes of a fault.

    Attributes:
        database: PostgreSQL.
        pooler: PgBouncer in front of it.
        redis: The cache.
        apps: The pods of the app.
        pages: The URL of the metrics of each pod.
        pods: The pods as the API server would have them.
        nginx: The proxy, if the fault concerns it.
    """

    database: testing.PostgresServer
    pooler: testing.PgBouncerServer
    redis: testing.RedisServer
    apps: tuple[FaultyApp, ...]
    pages: Mapping[str, str]
    pods: tuple[Pod, ...]
    nginx: Nginx | None

    @property
    def logs(self) -> tuple[Path, ...]:
        """The logs of the proxy, or of the app if there is no proxy."""
        if self.nginx is None:
            return tuple(app.log_path for app in self.apps)
        return (self.nginx.pod.root / "output", self.nginx.pod.paths["/dev/stdout"])


@contextlib.contextmanager
def running(fault: Fault, database: testing.PostgresServer, plan: Plan) -> Iterator[Stage]:
    """Runs all processes for the length of a block."""
    with contextlib.ExitStack() as stack:
        pooler = stack.enter_context(
            testing.PgBouncerServer(database, server_connections=fault.server_connections)
        )
        redis = stack.enter_context(testing.RedisServer())
        link = stack.enter_context(testing.SlowLink(redis.port))
        link.delay_seconds = fault.cache_delay_seconds
        beside = {
            "shop-postgres": exporters.of_postgres(database.url()),
            "shop-pgbouncer": exporters.of_pgbouncer(pooler.url("pgbouncer")),
            "shop-redis": exporters.of_redis(redis.port, redis.password),
        }
        for exporter in beside.values():
            stack.enter_context(exporter)
        environment = _environment(plan) | {
            "DATABASE_URL": pooler.url(),
            "REDIS_URL": redis.url.replace(str(redis.port), str(link.port)),
            **fault.environment,
        }
        pods = {"shop-a": environment}
        if fault.wave_seconds == 0:
            pods["shop-b"] = environment | dict(fault.other_pod)
        apps = {name: stack.enter_context(_app(fault, own)) for name, own in pods.items()}
        nginx = None
        if fault.wave_seconds:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)
            between = stack.enter_context(testing.SlowLink(apps["shop-a"].port))
            between.delay_seconds = fault.proxy_delay_seconds
            nginx = Nginx(folder, between)  # type: ignore[arg-type]
            stack.enter_context(nginx.running())
        pages = {name: app.metrics_url for name, app in apps.items()}
        pages |= {name: exporter.url for name, exporter in beside.items()}
        parts = {"shop-postgres": Part.DATABASE, "shop-pgbouncer": Part.POOLER}
        parts["shop-redis"] = Part.CACHE
        known = tuple(Pod(name, parts.get(name, Part.APP)) for name in pages)
        known += (Pod(PROXY, Part.PROXY),) if nginx else ()
        yield Stage(database, pooler, redis, tuple(apps.values()), pages, known, nginx)


def _environment(plan: Plan) -> dict[str, Any]:
    assert plan.pool is not None
    return {
        "THREAD_TOKENS": plan.server.threads.value,
        "DATABASE_POOL_SIZE": plan.pool.size.value,
        "DATABASE_MAX_OVERFLOW": plan.pool.max_overflow.value,
        "DATABASE_POOL_TIMEOUT_SECONDS": plan.pool.timeout_seconds.value,
    }


def _app(fault: Fault, environment: Mapping[str, Any]) -> FaultyApp:
    return FaultyApp(
        "app:app",
        environment={name: str(value) for name, value in environment.items()},
        arguments=("--no-access-log", *fault.arguments),
        app_directory=ROOT / "tests/diagnosis",
    )
