"""Two pods of an app as real processes, with real servers and exporters beside them."""

import contextlib
import json
import os
import signal
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi_operator_runtime import testing

from fastapi_operator.facts import Facts
from fastapi_operator.observability import readings
from fastapi_operator.observability.diagnosis import diagnose
from fastapi_operator.observability.readings import Pod
from fastapi_operator.observability.samples import Scrape, Series, Window, read_page
from fastapi_operator.observability.signals import Planned, ProxyLog, Signals
from fastapi_operator.observability.verdict import Diagnosis
from fastapi_operator.parts import Part
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from tests.cluster import pgbouncer
from tests.diagnosis import exporters, load, replay
from tests.diagnosis.faults import HEALTHY, Fault
from tests.diagnosis.limits import MemoryLimit
from tests.unit.resources.nginx import Nginx
from tests.unit.services import service

ROOT = Path(__file__).resolve().parents[2]
STEP_SECONDS = 1.0
# Whatever else runs on this machine may take the CPU of the app: true, and not what is looked for.
STARVED = "cpu-starved"
LOOKS = 3
PROXY = "shop-proxy"
NAMES = (*readings.NAMES, *replay.NAMES)
KILL_SECONDS = 60


class StatementsServer(testing.PostgresServer):
    """PostgreSQL with its statistics of statements, as the operator sets it up."""

    def command(self) -> Sequence[str]:
        """With the library that counts them."""
        return [*super().command(), "-c", "shared_preload_libraries=pg_stat_statements"]


@contextlib.contextmanager
def database() -> Iterator[testing.PostgresServer]:
    """A database for faults one after the other, and a PgBouncer that can stand before it."""
    os.environ["PATH"] = f"{pgbouncer.ensure()}{os.pathsep}{os.environ['PATH']}"
    with StatementsServer() as server:
        server.execute("CREATE EXTENSION pg_stat_statements")
        yield server


class FaultyApp(testing.AppServer):
    """The faulty application, in the environment that has FastAPI."""

    def command(self) -> Sequence[str]:
        """The app's interpreter in place of the tests'."""
        return [str(ROOT / ".venv-app/bin/python"), *list(super().command())[1:]]

    def start(self) -> None:
        """Before the clients where the tests may say so: they share its cores."""
        super().start()
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, self.pid, -10)

    def wait_for_kill(self) -> None:
        """Waits until the kernel has ended it."""
        assert self._process is not None
        assert self._process.wait(timeout=KILL_SECONDS) == -signal.SIGKILL


@dataclass(frozen=True)
class Verdict:
    """What a fault was called.

    Attributes:
        fault: The fault.
        found: The diagnoses, the first one first.
        signals: What they were made of.
        alerts: The alerts that would fire if it went on, with their severity.
    """

    fault: Fault
    found: tuple[Diagnosis, ...]
    signals: Signals
    alerts: Mapping[str, str]

    @property
    def first(self) -> str:
        """The rule that came first."""
        return self.found[0].rule if self.found else HEALTHY

    @property
    def right(self) -> bool:
        """Whether that is the fault."""
        return self.first == self.fault.expected

    @property
    def rings(self) -> bool:
        """Whether the fault's own alert fires, and nobody is woken for another."""
        own = {self.fault.alert} - {""}
        woken = {name for name, severity in self.alerts.items() if severity == "critical"}
        return own <= set(self.alerts) and woken <= own


@dataclass(frozen=True)
class Stage:
    """The running processes of a fault.

    Attributes:
        apps: The pods of the app.
        pages: Where the metrics of each pod are.
        pods: The pods as the API server would have them.
        nginx: The proxy, where the fault is about it.
    """

    apps: tuple[FaultyApp, ...]
    pages: Mapping[str, str]
    pods: tuple[Pod, ...]
    nginx: Nginx | None


def judge(fault: Fault, database: testing.PostgresServer, *, seconds: float) -> Verdict:
    """Puts a fault into effect, and asks for its diagnosis and its alerts."""
    plan = _plan(fault)
    with _stage(fault, database, plan) as stage, _clients(fault, stage):
        pods = stage.pods
        if fault.memory_bytes:
            pods = _killed(fault, stage)
        time.sleep(fault.warm_seconds)
        for _ in range(LOOKS):
            before = readings.read_proxy_log(_log(stage))
            recorded = _record(stage, max(seconds, fault.seconds))
            windows = {pod: Window(scrapes) for pod, scrapes in recorded.items()}
            proxy = _since(before, readings.read_proxy_log(_log(stage)))
            signals = readings.read(windows, pods, planned=Planned.of(plan), proxy=proxy)
            found = diagnose(signals)
            if STARVED not in {item.rule for item in found}:
                break
    return Verdict(fault, found, signals, replay.firing(recorded, pods, plan))


def _plan(fault: Fault) -> Plan:
    given = {"redis": {}, "postgres": {}, "scaling": {"replicas": 2}, **fault.spec}
    return derive(service(**given), Settings(), Facts())


@contextlib.contextmanager
def _stage(fault: Fault, database: testing.PostgresServer, plan: Plan) -> Iterator[Stage]:
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
        yield Stage(tuple(apps.values()), pages, known, nginx)


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


def _clients(fault: Fault, stage: Stage) -> contextlib.AbstractContextManager[None]:
    if stage.nginx is not None:
        return load.in_waves(fault.load, stage.nginx.pod.port(8080), fault.wave_seconds)
    return load.running(fault.load, [app.port for app in stage.apps])


def _killed(fault: Fault, stage: Stage) -> tuple[Pod, ...]:
    """Lets the kernel end the first pod at a limit, and starts it again as the kubelet would."""
    app = stage.apps[0]
    with MemoryLimit(app.pid, more_bytes=fault.memory_bytes) as limit:
        app.wait_for_kill()
        assert limit.kills() == 1
    app.start()
    return (Pod("shop-a", Part.APP, restarts=1, memory_killed=True), *stage.pods[1:])


def _record(stage: Stage, seconds: float) -> dict[str, list[Scrape]]:
    """What each pod shows, once a second."""
    scrapes: dict[str, list[Scrape]] = {pod.name: [] for pod in stage.pods}
    began = time.monotonic()
    for moment in range(round(seconds / STEP_SECONDS) + 1):
        time.sleep(max(0.0, began + moment * STEP_SECONDS - time.monotonic()))
        for name, url in stage.pages.items():
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
                text = answer.read().decode()
                scrapes[name].append(read_page(text, time.monotonic(), NAMES))
        if stage.nginx is not None:
            scrapes[PROXY].append(Scrape(time.monotonic(), _counted(_log(stage))))
    return {name: found for name, found in scrapes.items() if len(found) > 1}


def _counted(lines: Iterable[str]) -> dict[Series, float]:
    """What the exporter beside nginx would have counted, from the access log."""
    found: Counter[Series] = Counter()
    for line in lines:
        if line.startswith("{"):
            labels = {"http_response_status_code": str(json.loads(line)["status"])}
            found["fastapi_proxy_request_duration_seconds_count", frozenset(labels.items())] += 1
    return dict(found)


def _log(stage: Stage) -> list[str]:
    """Access and error lines, as a container's log mixes them."""
    if stage.nginx is None:
        return []
    access = stage.nginx.pod.paths["/dev/stdout"]
    lines = access.read_text().splitlines() if access.exists() else []
    return [*stage.nginx.pod.output().splitlines(), *lines]


def _since(before: ProxyLog, now: ProxyLog) -> ProxyLog:
    return ProxyLog(
        now.requests - before.requests,
        now.bad_gateways - before.bad_gateways,
        now.closed_early - before.closed_early,
    )
