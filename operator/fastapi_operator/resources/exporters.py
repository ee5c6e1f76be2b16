"""Exporters: sidecars that turn a server's statistics into metrics of Prometheus.

Each reads as the role ``monitor``, which sees statistics and no data, over the pod's own loopback;
its password is a variable from a Secret, so that no command line or file shows it. One that fails
must not take its server out of service, so none has a probe.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi_operator.resources import pod
from fastapi_operator.resources.inputs import (
    DATABASE,
    MONITOR_ROLE,
    POOLER_EXPORTER_PORT,
    POOLER_PORT,
    POSTGRES_EXPORTER_PORT,
    POSTGRES_PORT,
    PROXY_EXPORTER_PORT,
    PROXY_LOG_PORT,
    REDIS_EXPORTER_PORT,
    REDIS_PORT,
    Inputs,
)
from fastapi_operator.settings import OperandImage

# The port's name in every pod with metrics: what monitors ask for.
METRICS = "metrics"

_POSTGRES_FLAGS = (
    "--collector.stat_statements",
    "--collector.stat_statements.include_query",
    # Which indexes nobody reads, which transactions stay open, and how near wraparound is.
    "--collector.statio_user_indexes",
    "--collector.long_running_transactions",
    "--collector.database_wraparound",
    "--collector.stat_checkpointer",
    # The pod is no standby and has no slots.
    "--no-collector.replication",
    "--no-collector.replication_slot",
)


def postgres(inputs: Inputs, secret: str) -> tuple[dict[str, Any], ...]:
    """The exporter beside PostgreSQL."""
    return _exporter(
        inputs,
        "postgres-exporter",
        image=inputs.settings.images.postgres_exporter,
        command=("postgres_exporter", *_POSTGRES_FLAGS),
        port=POSTGRES_EXPORTER_PORT,
        env=[
            {"name": "DATA_SOURCE_USER", "value": MONITOR_ROLE},
            _password("DATA_SOURCE_PASS", secret),
            {
                "name": "DATA_SOURCE_URI",
                "value": f"127.0.0.1:{POSTGRES_PORT}/{DATABASE}?sslmode=disable",
            },
        ],
    )


def pgbouncer(inputs: Inputs, secret: str) -> tuple[dict[str, Any], ...]:
    """The exporter beside PgBouncer, on its console."""
    console = f"127.0.0.1:{POOLER_PORT}/pgbouncer?sslmode=disable"
    return _exporter(
        inputs,
        "pgbouncer-exporter",
        image=inputs.settings.images.pgbouncer_exporter,
        command=("pgbouncer_exporter",),
        port=POOLER_EXPORTER_PORT,
        env=[
            _password("PASSWORD", secret),
            {
                "name": "PGBOUNCER_EXPORTER_CONNECTION_STRING",
                "value": f"postgres://{MONITOR_ROLE}:$(PASSWORD)@{console}",
            },
        ],
    )


def redis(inputs: Inputs, secret: str) -> tuple[dict[str, Any], ...]:
    """The exporter beside a Redis or Valkey server."""
    return _exporter(
        inputs,
        "redis-exporter",
        image=inputs.settings.images.redis_exporter,
        # The image has it outside of the PATH.
        command=("/redis_exporter",),
        port=REDIS_EXPORTER_PORT,
        env=[
            {"name": "REDIS_ADDR", "value": f"redis://127.0.0.1:{REDIS_PORT}"},
            {"name": "REDIS_USER", "value": MONITOR_ROLE},
            _password("REDIS_PASSWORD", secret),
            {"name": "REDIS_EXPORTER_REDIS_ONLY_METRICS", "value": "true"},
        ],
    )


def nginx(inputs: Inputs, program: str, mounts: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    """The exporter beside nginx, which is told of each request.

    Args:
        inputs: The service.
        program: The file that says what becomes of a line.
        mounts: Where its volume is mounted.
    """
    return _exporter(
        inputs,
        "mtail",
        image=inputs.settings.images.mtail,
        command=(
            "mtail",
            f"--progs={program}",
            f"--logs=udp://127.0.0.1:{PROXY_LOG_PORT}",
            f"--port={PROXY_EXPORTER_PORT}",
            "--logtostderr",
            "--emit_prog_label=false",
            "--http_debugging_endpoint=false",
            "--http_info_endpoint=false",
        ),
        port=PROXY_EXPORTER_PORT,
        mounts=mounts,
    )


def _exporter(
    inputs: Inputs,
    name: str,
    *,
    image: OperandImage,
    command: Sequence[str],
    port: int,
    **fields: Any,
) -> tuple[dict[str, Any], ...]:
    """The sidecar; none where nobody would read it."""
    plan = inputs.plan.observability
    if plan.exporter_cpu_millicores is None or plan.exporter_memory_bytes is None:
        return ()
    memory = plan.exporter_memory_bytes.value
    sidecar = pod.container(
        name,
        image=image.reference,
        pull_policy=inputs.settings.image_pull_policy,
        command=command,
        ports=[{"name": METRICS, "containerPort": port, "protocol": "TCP"}],
        resources=pod.resources(
            cpu_request=plan.exporter_cpu_millicores.value,
            memory_request=memory,
            memory_limit=memory,
        ),
        **fields,
    )
    return (sidecar,)


def _password(variable: str, secret: str) -> dict[str, Any]:
    reference = {"name": secret, "key": MONITOR_ROLE}
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}
