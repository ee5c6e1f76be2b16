"""The environment contract: every variable that the operator sets in the app's containers.

One table for the app, the migration Job, ``fastapi-operator env`` and the documentation. If a row
has no value for a service, its variable is left out. The order matters: Kubernetes expands
``$(NAME)`` only from earlier rows, so that a URL contains a password that no builder sees.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.guards import AUTHORITY_VOLUME
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.schedule import Background
from fastapi_operator.api.server import Server
from fastapi_operator.parts import DIAGNOSTICS_VARIABLE
from fastapi_operator.resources import agents, pod, telemetry
from fastapi_operator.resources.access import authority_sources
from fastapi_operator.resources.connections import (
    AUTHORITY_DIRECTORY,
    CACHE_VARIABLES,
    DATABASE_VARIABLES,
    QUEUE_VARIABLES,
    authority,
    connects,
    contract_name,
    own_names,
)
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.servers import SETTINGS
from fastapi_operator.resources.variable import (
    ALL,
    SERVING,
    Process,
    SecretKey,
    Value,
    Variable,
)
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.client_address import PRIVATE_NETWORKS, client_address
from fastapi_operator.tuning.decision import Decision
from fastapi_operator.tuning.plan import CachePoolPlan, PoolPlan
from fastapi_operator.tuning.programs import CELERY_CONCURRENCY, runs_celery, workers_of

METRICS_DIRECTORY = "/run/metrics"
WRITABLE_DIRECTORY = "/tmp"  # noqa: S108 (the pod's own emptyDir)


def environment(
    inputs: Inputs, process: Process, own: Iterable[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Returns the ``env`` of a container: the contract, the app's own names, the user's variables.

    If the user sets a variable of the contract, the user's value is used.

    Args:
        inputs: The service.
        process: The process that runs in the container.
        own: The user's variables for this process alone.
    """
    by_name = dict(_contract(inputs, process))
    by_name |= dict(_own_names(inputs, by_name))
    for entry in (*(inputs.spec.env or ()), *own):
        name = str(entry.get("name"))
        if "$(" in str(entry.get("value")):
            # It may refer to any variable before it, so it moves to the end.
            by_name.pop(name, None)
        by_name[name] = dict(entry)
    return list(by_name.values())


def environment_files(inputs: Inputs, process: Process) -> tuple[dict[str, str], list[Any]]:
    """Returns the mounts and volumes of the files that the environment names."""
    database = authority(inputs, process)
    if database is None:
        return {}, []
    volume = pod.files_volume(AUTHORITY_VOLUME, config_maps=(), sources=authority_sources(database))
    return {AUTHORITY_VOLUME: AUTHORITY_DIRECTORY}, [volume]


def _contract(inputs: Inputs, process: Process) -> Iterator[tuple[str, dict[str, Any]]]:
    for variable in CONTRACT:
        if process not in variable.processes:
            continue
        value = variable.value(inputs, process)
        if isinstance(value, SecretKey):
            reference = {"secretKeyRef": {"name": value.secret, "key": value.key}}
            yield variable.name, {"name": variable.name, "valueFrom": reference}
        elif value is not None:
            yield variable.name, {"name": variable.name, "value": str(value)}


def _own_names(
    inputs: Inputs, contract: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for section, name, source in own_names(inputs.spec):
        entry = contract.get(contract_name(section, source))
        if entry is not None:
            yield name, {**entry, "name": name}


def _row(
    name: str,
    meaning: str,
    value: Callable[[Inputs], Value],
    processes: tuple[Process, ...] = (Process.APP,),
) -> Variable:
    """A variable that has the same value in each process that gets it."""
    return Variable(name, meaning, lambda inputs, _: value(inputs), processes)


def _of_pool(read: Callable[[PoolPlan], Decision[int]]) -> Callable[[Inputs], Value]:
    return lambda inputs: (
        read(inputs.plan.pool).value if inputs.plan.pool and connects(inputs) else None
    )


def _pool_size(inputs: Inputs, process: Process) -> Value:
    plan = inputs.plan
    if not connects(inputs):
        return None
    if process is Process.MIGRATION:
        return plan.migration.connections.value if plan.migration else None
    size = inputs.process.connections if inputs.process else plan.pool and plan.pool.size
    return size.value if size else None


def _max_overflow(inputs: Inputs, process: Process) -> Value:
    if inputs.plan.pool is None or not connects(inputs):
        return None
    # The connections of the other processes are their most; they have no overflow.
    return inputs.plan.pool.max_overflow.value if process is Process.APP else 0


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


def _entry(inputs: Inputs) -> Background | None:
    """The background process whose environment is built."""
    name = inputs.process.name if inputs.process else None
    return next((entry for entry in inputs.spec.background or () if entry.name == name), None)


def _celery_concurrency(inputs: Inputs) -> Value:
    entry = _entry(inputs)
    program = workers_of(entry) if entry else None
    if program is None or inputs.process is None or program.variable != CELERY_CONCURRENCY:
        return None
    return inputs.process.processes.value


def _celery_schedule(command: str) -> Callable[[Inputs], Value]:
    """The file of Celery beat, which is otherwise in the working directory."""

    def value(inputs: Inputs) -> Value:
        entry = _entry(inputs)
        runs = entry is not None and runs_celery(entry, command)
        return f"{WRITABLE_DIRECTORY}/celerybeat-schedule" if runs else None

    return value


CONTRACT: tuple[Variable, ...] = (
    *DATABASE_VARIABLES,
    Variable("DATABASE_POOL_SIZE", "connections that each process keeps open", _pool_size, ALL),
    Variable(
        "DATABASE_MAX_OVERFLOW",
        "additional connections of each process under load",
        _max_overflow,
        ALL,
    ),
    _row(
        "DATABASE_POOL_TIMEOUT_SECONDS",
        "seconds that a request waits for a connection of the pool",
        _of_pool(lambda pool: pool.timeout_seconds),
        ALL,
    ),
    _row(
        "DATABASE_POOL_RECYCLE_SECONDS",
        "age in seconds at which a connection is replaced",
        _of_pool(lambda pool: pool.recycle_seconds),
        ALL,
    ),
    *CACHE_VARIABLES,
    _row(
        "REDIS_MAX_CONNECTIONS",
        "connections of each process to the cache",
        _of_cache_pool(lambda pool: pool.size),
        ALL,
    ),
    _row(
        "REDIS_TIMEOUT_SECONDS",
        "seconds that a request waits for the cache to connect or respond",
        _of_cache_pool(lambda pool: pool.timeout_seconds),
        ALL,
    ),
    *QUEUE_VARIABLES,
    _row(
        "WEB_CONCURRENCY",
        "worker processes of the server",
        lambda inputs: inputs.plan.server.workers.value,
    ),
    _row(
        "THREAD_TOKENS",
        "threads of each process for def endpoints",
        lambda inputs: inputs.plan.server.threads.value,
    ),
    _row(
        "MAX_IN_FLIGHT",
        "requests in flight in a process above which it returns 503",
        lambda inputs: inputs.plan.server.max_in_flight.value,
    ),
    _row(
        "MAX_IN_FLIGHT_MIN",
        "requests in flight that a process admits, however long they wait",
        lambda inputs: inputs.plan.server.min_in_flight.value,
    ),
    _row(
        "TRUST_REQUEST_START",
        "whether X-Request-Start is the proxy's, and not a client's",
        lambda inputs: "true" if inputs.plan.proxy is not None else None,
    ),
    _row(
        "PRIORITY_PATHS",
        "paths, separated by commas, whose requests are rejected last",
        lambda inputs: ",".join((inputs.spec.server or Server()).priorities or ()) or None,
    ),
    _row("METRICS_PORT", "port of the metrics", lambda inputs: inputs.metrics_port),
    _row(
        "PROBE_PORT",
        "port on which the runtime responds to probes",
        lambda inputs: inputs.probe_port,
    ),
    _row(
        DIAGNOSTICS_VARIABLE,
        "port of stacks and profiles, on loopback",
        lambda inputs: inputs.diagnostics_port,
    ),
    _row(
        "HOME",
        "a directory that the process can write to; the image's own is read-only",
        lambda _: WRITABLE_DIRECTORY,
        ALL,
    ),
    _row("USER", "the user's name, which the image does not have", lambda _: "app", ALL),
    _row(
        CELERY_CONCURRENCY,
        "processes of a Celery worker, if its command has no --concurrency",
        _celery_concurrency,
        (Process.BACKGROUND,),
    ),
    _row(
        "CELERY_BEAT_SCHEDULE",
        "file of Celery beat, unless its command has --schedule",
        _celery_schedule("beat"),
        (Process.BACKGROUND,),
    ),
    _row(
        "CELERY_WORKER_SCHEDULE_FILENAME",
        "the same, for a worker with --beat",
        _celery_schedule("worker"),
        (Process.BACKGROUND,),
    ),
    _row("LOG_LEVEL", "lowest level of log lines that are written", telemetry.log_level, ALL),
    _row(
        "PROMETHEUS_MULTIPROC_DIR",
        "directory in which several workers combine their metrics",
        lambda inputs: METRICS_DIRECTORY if _several_workers(inputs) else None,
    ),
    _row(
        "PYTHON_CPU_COUNT",
        "value of os.cpu_count() in Python 3.13 and later",
        _native_threads,
        SERVING,
    ),
    _row(
        "MALLOC_ARENA_MAX",
        "memory pools of glibc; without it, eight for each core of the node",
        lambda _: figures.MALLOC_ARENAS,
        ALL,
    ),
    _row("OMP_NUM_THREADS", "threads of OpenMP", _native_threads, SERVING),
    _row("OPENBLAS_NUM_THREADS", "threads of OpenBLAS", _native_threads, SERVING),
    _row("MKL_NUM_THREADS", "threads of Intel MKL", _native_threads, SERVING),
    _row("NUMEXPR_NUM_THREADS", "threads of NumExpr", _native_threads, SERVING),
    _row("NUMBA_NUM_THREADS", "threads of Numba", _native_threads, SERVING),
    _row("POLARS_MAX_THREADS", "threads of Polars", _native_threads, SERVING),
    _row("RAYON_NUM_THREADS", "threads of Rayon, as in tokenizers", _native_threads, SERVING),
    _row("TOKIO_WORKER_THREADS", "threads of Tokio, as in delta-rs", _native_threads, SERVING),
    _row(
        "OTEL_SERVICE_NAME",
        "name of the service in telemetry",
        lambda inputs: inputs.name,
        ALL,
    ),
    _row(
        "OTEL_RESOURCE_ATTRIBUTES",
        "namespace, version and environment in telemetry",
        telemetry.resource_attributes,
        SERVING,
    ),
    _row("FASTAPI_OTEL_AUTO_CONFIGURE", "FastAPI sends its own telemetry", _traced("true")),
    _row("OTEL_EXPORTER_OTLP_ENDPOINT", "the collector of traces", telemetry.endpoint, SERVING),
    _row(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "protocol of the collector",
        _traced("http/protobuf"),
        SERVING,
    ),
    _row("OTEL_EXPORTER_OTLP_HEADERS", "headers for the collector", telemetry.headers, SERVING),
    _row(
        "OTEL_TRACES_SAMPLER",
        "the caller's sampling decision is used; new traces are sampled",
        _traced("parentbased_traceidratio"),
        SERVING,
    ),
    _row(
        "OTEL_TRACES_SAMPLER_ARG",
        "share of new traces that are kept",
        telemetry.sample_share,
        SERVING,
    ),
    _row(
        "OTEL_METRICS_EXPORTER",
        "none: metrics are scraped, not pushed",
        _traced("none"),
        SERVING,
    ),
    _row(
        "OTEL_LOGS_EXPORTER",
        "none: logs are written to standard output",
        _traced("none"),
        SERVING,
    ),
    _row("SENTRY_DSN", "address to which errors are reported", telemetry.sentry_dsn, ALL),
    _row("SENTRY_ENVIRONMENT", "environment of reported errors", telemetry.sentry_environment, ALL),
    _row("SENTRY_RELEASE", "version of reported errors", telemetry.sentry_release, ALL),
    *(_row(item.name, item.meaning, item.value, SERVING) for item in agents.SETTINGS),
    _row(
        "FORWARDED_ALLOW_IPS",
        "networks whose X-Forwarded headers the server trusts",
        _forwarded_allow_ips,
    ),
    *(_row(item.name, item.meaning, item.value) for item in SETTINGS),
)
