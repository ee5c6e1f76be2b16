"""The environment contract: every variable that the operator sets in the app's containers.

One table for the app, the migration Job, ``fastapi-operator env`` and the documentation. If a row
has no value for a service, its variable is left out. The order matters: Kubernetes expands
``$(NAME)`` only from earlier rows, so that a URL contains a password that no builder sees.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.guards import AUTHORITY_VOLUME
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.redis import Queue, Redis
from fastapi_operator.parts import DIAGNOSTICS_VARIABLE, Part
from fastapi_operator.resources import pod, telemetry
from fastapi_operator.resources.access import (
    CA_FILE,
    Access,
    access,
    authority_sources,
    migrators_access,
)
from fastapi_operator.resources.desired import PASSWORD, USERNAME
from fastapi_operator.resources.inputs import (
    DATABASE,
    MIGRATOR_ROLE,
    Inputs,
)
from fastapi_operator.resources.servers import SETTINGS
from fastapi_operator.resources.variable import SecretKey, Value
from fastapi_operator.tuning.client_address import PRIVATE_NETWORKS, client_address
from fastapi_operator.tuning.decision import Decision
from fastapi_operator.tuning.plan import CachePoolPlan, PoolPlan

METRICS_DIRECTORY = "/run/metrics"
AUTHORITY_DIRECTORY = "/etc/database"


class Process(StrEnum):
    """A process of the app's image."""

    APP = "app"
    MIGRATION = "migration"
    BACKGROUND = "background"
    SCHEDULE = "schedule"


@dataclass(frozen=True)
class Variable:
    """One row of the contract.

    Attributes:
        name: The variable.
        meaning: Its meaning, for the documentation.
        value: Its value for a service; None leaves it out.
        processes: The processes that get it.
    """

    name: str
    meaning: str
    value: Callable[[Inputs], Value]
    processes: tuple[Process, ...] = (Process.APP,)


_ALL = tuple(Process)
# The processes of the released version. They connect to the pooler; only a migration does not.
_SERVING = (Process.APP, Process.BACKGROUND, Process.SCHEDULE)


def environment(
    inputs: Inputs, process: Process, own: Iterable[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Returns the ``env`` of a container of the app: the contract, then the user's variables.

    If the user sets a variable of the contract, the user's value is used.

    Args:
        inputs: The service.
        process: The process that runs in the container.
        own: The user's variables for this process alone.
    """
    given = [dict(entry) for entry in (*(inputs.spec.env or ()), *own)]
    theirs = {entry.get("name") for entry in given}
    ours = [entry for entry in _contract(inputs, process) if entry["name"] not in theirs]
    return [*ours, *_last_of_each(given)]


def environment_files(inputs: Inputs, process: Process) -> tuple[dict[str, str], list[Any]]:
    """Returns the mounts and volumes of the files that the environment names."""
    database = _external(inputs, process)
    if database is None or database.authority is None:
        return {}, []
    volume = pod.files_volume(AUTHORITY_VOLUME, config_maps=(), sources=authority_sources(database))
    return {AUTHORITY_VOLUME: AUTHORITY_DIRECTORY}, [volume]


def _contract(inputs: Inputs, process: Process) -> Iterable[dict[str, Any]]:
    for variable in CONTRACT:
        if process not in variable.processes:
            continue
        value = variable.value(inputs)
        if isinstance(value, SecretKey):
            reference = {"secretKeyRef": {"name": value.secret, "key": value.key}}
            yield {"name": variable.name, "valueFrom": reference}
        elif value is not None:
            yield {"name": variable.name, "value": str(value)}


def _last_of_each(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Drops duplicates as the kubelet does: the last one is used."""
    by_name = {str(entry.get("name")): dict(entry) for entry in entries}
    return list(by_name.values())


def _connects(inputs: Inputs) -> bool:
    """Whether the process opens connections to the database."""
    if inputs.plan.database is None:
        return False
    return inputs.process is None or inputs.process.connections.value > 0


def _app_credential(inputs: Inputs, key: str) -> Value:
    """The user or password of the app for the pooler or the managed database."""
    if not _connects(inputs) or _external(inputs, Process.APP) is not None:
        return None
    # In front of an external database the pooler has a password of its own.
    part = Part.DATABASE if inputs.runs_database else Part.POOLER
    return SecretKey(inputs.name_of(part), key)


def _migrator_password(inputs: Inputs) -> Value:
    return SecretKey(inputs.name_of(Part.DATABASE), MIGRATOR_ROLE) if inputs.runs_database else None


def _app_username(inputs: Inputs) -> Value:
    return _app_credential(inputs, USERNAME)


def _app_password(inputs: Inputs) -> Value:
    return _app_credential(inputs, PASSWORD)


def _app_url(inputs: Inputs) -> Value:
    if not _connects(inputs):
        return None
    if _external(inputs, Process.APP) is not None:
        return _URL_OF_PARTS
    if inputs.plan.pooler is not None:
        return _database_url(inputs, _USERNAME, Part.POOLER)
    return _database_url(inputs, _USERNAME, Part.DATABASE)


def _migrators_url(inputs: Inputs) -> Value:
    if inputs.plan.database is None:
        return None
    if _external(inputs, Process.MIGRATION) is not None:
        return _URL_OF_PARTS
    return _database_url(inputs, MIGRATOR_ROLE, Part.DATABASE)


# The active one of the app's two users.
_USERNAME = "$(DATABASE_USERNAME)"


def _database_url(inputs: Inputs, role: str, server: Part) -> str:
    address = f"{inputs.name_of(server)}:{server.port}"
    return f"postgresql://{role}:$(DATABASE_PASSWORD)@{address}/{DATABASE}"


# An external password can have characters that are not valid in a URL. Drivers read it from
# PGPASSWORD, and how to verify the server from PGSSLMODE and PGSSLROOTCERT.
_URL_OF_PARTS = (
    "postgresql://$(DATABASE_USERNAME)@$(DATABASE_HOST):$(DATABASE_PORT)/$(DATABASE_NAME)"
)


def _external(inputs: Inputs, process: Process) -> Access | None:
    """Returns a process's own access to an external database; None if it needs none."""
    if process is Process.MIGRATION:
        return migrators_access(inputs)
    return access(inputs) if inputs.plan.pooler is None and _connects(inputs) else None


def _by_secret(*processes: Process) -> Iterable[Variable]:
    """Yields the variables of processes that connect to an external database."""

    def key_of(name: str) -> Callable[[Inputs], Value]:
        def value(inputs: Inputs) -> Value:
            database = _external(inputs, processes[0])
            if database is None:
                return None
            return (
                SecretKey(database.secret, database.keys[name])
                if name in database.keys
                else database.port
            )

        return value

    def of_database(read: Callable[[Access], Value]) -> Callable[[Inputs], Value]:
        return lambda inputs: (
            read(database) if (database := _external(inputs, processes[0])) else None
        )

    part = "part of the DATABASE_URL of an external database"
    yield Variable("DATABASE_HOST", part, key_of("host"), processes)
    yield Variable("DATABASE_PORT", part, key_of("port"), processes)
    yield Variable("DATABASE_NAME", part, key_of("dbname"), processes)
    yield Variable("DATABASE_USERNAME", part, key_of("username"), processes)
    yield Variable(
        "PGPASSWORD",
        "password of an external database; drivers read it",
        key_of("password"),
        processes,
    )
    yield Variable(
        "PGSSLMODE",
        "how drivers verify the database's certificate",
        of_database(lambda database: database.ssl_mode),
        processes,
    )
    yield Variable(
        "PGSSLROOTCERT",
        "certificate of the authority that signed it",
        of_database(
            lambda database: f"{AUTHORITY_DIRECTORY}/{CA_FILE}" if database.authority else None
        ),
        processes,
    )


def _cache_credential(key: str) -> Callable[[Inputs], Value]:
    return lambda inputs: SecretKey(inputs.name_of(Part.CACHE), key) if inputs.plan.cache else None


def _cache_url(inputs: Inputs) -> Value:
    if inputs.plan.cache is None:
        return _external_url(inputs.spec.redis)
    address = f"{inputs.name_of(Part.CACHE)}:{Part.CACHE.port}"
    return f"redis://$(REDIS_USERNAME):$(REDIS_PASSWORD)@{address}/0"


def _queue_credential(key: str) -> Callable[[Inputs], Value]:
    return lambda inputs: SecretKey(inputs.name_of(Part.QUEUE), key) if inputs.plan.queue else None


def _queue_url(inputs: Inputs) -> Value:
    if inputs.plan.queue is None:
        return _external_url(inputs.spec.queue)
    address = f"{inputs.name_of(Part.QUEUE)}:{Part.QUEUE.port}"
    return f"redis://$(QUEUE_USERNAME):$(QUEUE_PASSWORD)@{address}/0"


def _external_url(section: Redis | Queue | None) -> Value:
    if section is None or section.secret_ref is None:
        return None
    return SecretKey(section.secret_ref.name, section.secret_ref.key or "url")


def _of_pool(read: Callable[[PoolPlan], Decision[int]]) -> Callable[[Inputs], Value]:
    return lambda inputs: (
        read(inputs.plan.pool).value if inputs.plan.pool and _connects(inputs) else None
    )


def _pool_size(inputs: Inputs) -> Value:
    size = (
        inputs.process.connections if inputs.process else inputs.plan.pool and inputs.plan.pool.size
    )
    return size.value if size and _connects(inputs) else None


def _max_overflow(inputs: Inputs) -> Value:
    if inputs.plan.pool is None or not _connects(inputs):
        return None
    # The spec sets the connections of a background process; it has no overflow.
    return 0 if inputs.process else inputs.plan.pool.max_overflow.value


def _of_cache_pool(
    read: Callable[[CachePoolPlan], Decision[int] | Decision[float]],
) -> Callable[[Inputs], Value]:
    return lambda inputs: read(inputs.plan.cache_pool).value if inputs.plan.cache_pool else None


def _native_threads(inputs: Inputs) -> Value:
    return (inputs.process or inputs.plan.compute).native_threads.value


def _traced(value: Value) -> Callable[[Inputs], Value]:
    return lambda inputs: value if telemetry.endpoint(inputs) is not None else None


def _forwarded_allow_ips(inputs: Inputs) -> Value:
    """The networks whose X-Forwarded headers the app's server trusts."""
    if inputs.plan.proxy is not None:
        # The proxy replaces these headers, and only its pods reach the app.
        return ",".join(PRIVATE_NETWORKS)
    address = client_address(inputs.spec.proxy or Proxy(), inputs.spec.exposure or Exposure())
    return ",".join(address.networks) or "127.0.0.1"


def _several_workers(inputs: Inputs) -> bool:
    return inputs.plan.server.workers.value > 1


CONTRACT: tuple[Variable, ...] = (
    Variable("DATABASE_USERNAME", "part of DATABASE_URL", _app_username, _SERVING),
    Variable("DATABASE_PASSWORD", "part of DATABASE_URL", _app_password, _SERVING),
    Variable("DATABASE_PASSWORD", "part of DATABASE_URL", _migrator_password, (Process.MIGRATION,)),
    *_by_secret(*_SERVING),
    *_by_secret(Process.MIGRATION),
    Variable("DATABASE_URL", "PostgreSQL, through the pooler if there is one", _app_url, _SERVING),
    Variable(
        "DATABASE_URL",
        "PostgreSQL without the pooler, as the owner of the schema",
        _migrators_url,
        (Process.MIGRATION,),
    ),
    Variable(
        "DATABASE_POOL_SIZE",
        "connections that each process keeps open",
        _pool_size,
        _SERVING,
    ),
    Variable(
        "DATABASE_MAX_OVERFLOW",
        "additional connections of each process under load",
        _max_overflow,
        _SERVING,
    ),
    Variable(
        "DATABASE_POOL_TIMEOUT_SECONDS",
        "seconds that a request waits for a connection of the pool",
        _of_pool(lambda pool: pool.timeout_seconds),
        _SERVING,
    ),
    Variable(
        "DATABASE_POOL_RECYCLE_SECONDS",
        "age in seconds at which a connection is replaced",
        _of_pool(lambda pool: pool.recycle_seconds),
        _SERVING,
    ),
    Variable("REDIS_USERNAME", "part of REDIS_URL", _cache_credential(USERNAME), _SERVING),
    Variable("REDIS_PASSWORD", "part of REDIS_URL", _cache_credential(PASSWORD), _SERVING),
    Variable("REDIS_URL", "the cache", _cache_url, _SERVING),
    Variable(
        "REDIS_MAX_CONNECTIONS",
        "connections of each process to the cache",
        _of_cache_pool(lambda pool: pool.size),
        _SERVING,
    ),
    Variable(
        "REDIS_TIMEOUT_SECONDS",
        "seconds that a request waits for the cache to connect or respond",
        _of_cache_pool(lambda pool: pool.timeout_seconds),
        _SERVING,
    ),
    Variable("QUEUE_USERNAME", "part of QUEUE_URL", _queue_credential(USERNAME), _SERVING),
    Variable("QUEUE_PASSWORD", "part of QUEUE_URL", _queue_credential(PASSWORD), _SERVING),
    Variable("QUEUE_URL", "the broker of background work", _queue_url, _SERVING),
    Variable(
        "WEB_CONCURRENCY",
        "worker processes of the server",
        lambda inputs: inputs.plan.server.workers.value,
    ),
    Variable(
        "THREAD_TOKENS",
        "threads of each process for def endpoints",
        lambda inputs: inputs.plan.server.threads.value,
    ),
    Variable(
        "MAX_IN_FLIGHT",
        "requests in flight in a process above which it returns 503",
        lambda inputs: inputs.plan.server.max_in_flight.value,
    ),
    Variable("METRICS_PORT", "port of the metrics", lambda inputs: inputs.metrics_port),
    Variable(
        "PROBE_PORT",
        "port on which the runtime responds to probes",
        lambda inputs: inputs.probe_port,
    ),
    Variable(
        DIAGNOSTICS_VARIABLE,
        "port of stacks and profiles, on loopback",
        lambda inputs: inputs.diagnostics_port,
    ),
    Variable("LOG_LEVEL", "lowest level of log lines that are written", telemetry.log_level, _ALL),
    Variable(
        "PROMETHEUS_MULTIPROC_DIR",
        "directory in which several workers combine their metrics",
        lambda inputs: METRICS_DIRECTORY if _several_workers(inputs) else None,
    ),
    Variable(
        "PYTHON_CPU_COUNT",
        "value of os.cpu_count() in Python 3.13 and later",
        _native_threads,
        _SERVING,
    ),
    Variable("OMP_NUM_THREADS", "threads of OpenMP", _native_threads, _SERVING),
    Variable("OPENBLAS_NUM_THREADS", "threads of OpenBLAS", _native_threads, _SERVING),
    Variable("MKL_NUM_THREADS", "threads of Intel MKL", _native_threads, _SERVING),
    Variable(
        "OTEL_SERVICE_NAME",
        "name of the service in telemetry",
        lambda inputs: inputs.name,
        _ALL,
    ),
    Variable(
        "OTEL_RESOURCE_ATTRIBUTES",
        "namespace, version and environment in telemetry",
        telemetry.resource_attributes,
        _SERVING,
    ),
    Variable("FASTAPI_OTEL_AUTO_CONFIGURE", "FastAPI sends its own telemetry", _traced("true")),
    Variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT", "the collector of traces", telemetry.endpoint, _SERVING
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "protocol of the collector",
        _traced("http/protobuf"),
        _SERVING,
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_HEADERS", "headers for the collector", telemetry.headers, _SERVING
    ),
    Variable(
        "OTEL_TRACES_SAMPLER",
        "the caller's sampling decision is used; new traces are sampled",
        _traced("parentbased_traceidratio"),
        _SERVING,
    ),
    Variable(
        "OTEL_TRACES_SAMPLER_ARG",
        "share of new traces that are kept",
        telemetry.sample_share,
        _SERVING,
    ),
    Variable(
        "OTEL_METRICS_EXPORTER",
        "none: metrics are scraped, not pushed",
        _traced("none"),
        _SERVING,
    ),
    Variable(
        "OTEL_LOGS_EXPORTER",
        "none: logs are written to standard output",
        _traced("none"),
        _SERVING,
    ),
    Variable("SENTRY_DSN", "address to which errors are reported", telemetry.sentry_dsn, _ALL),
    Variable(
        "SENTRY_ENVIRONMENT", "environment of reported errors", telemetry.sentry_environment, _ALL
    ),
    Variable("SENTRY_RELEASE", "version of reported errors", telemetry.sentry_release, _ALL),
    Variable(
        "FORWARDED_ALLOW_IPS",
        "networks whose X-Forwarded headers the server trusts",
        _forwarded_allow_ips,
    ),
    *(Variable(item.name, item.meaning, item.value) for item in SETTINGS),
)
