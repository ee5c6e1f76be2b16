"""Exporters: sidecars that expose a server's statistics as metrics for Prometheus.

Each connects over the pod's own loopback as the role ``monitor``, which can read statistics and no
data. Its password is a variable from a Secret, so that no command line or file contains it. An
exporter has no probe, because a failed exporter must not take its server out of service.
"""

from collections.abc import Sequence
from typing import Any

from fastapi_operator.parts import METRICS, Part
from fastapi_operator.resources import pod
from fastapi_operator.resources.inputs import DATABASE, MONITOR_ROLE, Inputs
from fastapi_operator.settings import OperandImage

_POSTGRES_FLAGS = (
    "--collector.stat_statements",
    "--collector.stat_statements.include_query",
    # Unused indexes, open transactions, and the distance to wraparound.
    "--collector.statio_user_indexes",
    "--collector.long_running_transactions",
    "--collector.database_wraparound",
    "--collector.stat_checkpointer",
    # The pod is not a standby and has no replication slots.
    "--no-collector.replication",
    "--no-collector.replication_slot",
)


def postgres(inputs: Inputs, secret: str) -> tuple[dict[str, Any], ...]:
    """Builds the exporter of PostgreSQL."""
    return _exporter(
        inputs,
        Part.DATABASE,
        image=inputs.settings.images.postgres_exporter,
        command=("postgres_exporter", *_POSTGRES_FLAGS),
        env=[
            {"name": "DATA_SOURCE_USER", "value": MONITOR_ROLE},
            _password("DATA_SOURCE_PASS", secret),
            {
                "name": "DATA_SOURCE_URI",
                "value": f"127.0.0.1:{Part.DATABASE.port}/{DATABASE}?sslmode=disable",
            },
        ],
    )


def pgbouncer(inputs: Inputs, secret: str) -> tuple[dict[str, Any], ...]:
    """Builds the exporter of PgBouncer, which reads its console."""
    console = f"127.0.0.1:{Part.POOLER.port}/pgbouncer?sslmode=disable"
    return _exporter(
        inputs,
        Part.POOLER,
        image=inputs.settings.images.pgbouncer_exporter,
        command=("pgbouncer_exporter",),
        env=[
            _password("PASSWORD", secret),
            {
                "name": "PGBOUNCER_EXPORTER_CONNECTION_STRING",
                "value": f"postgres://{MONITOR_ROLE}:$(PASSWORD)@{console}",
            },
        ],
    )


def redis(inputs: Inputs, part: Part, secret: str) -> tuple[dict[str, Any], ...]:
    """Builds the exporter of a Redis or Valkey server."""
    return _exporter(
        inputs,
        part,
        image=inputs.settings.images.redis_exporter,
        # In the image it is not on the PATH.
        command=("/redis_exporter",),
        env=[
            {"name": "REDIS_ADDR", "value": f"redis://127.0.0.1:{part.port}"},
            {"name": "REDIS_USER", "value": MONITOR_ROLE},
            _password("REDIS_PASSWORD", secret),
            {"name": "REDIS_EXPORTER_REDIS_ONLY_METRICS", "value": "true"},
            # There, any pod of the cluster names a server to which the password is sent.
            {"name": "REDIS_EXPORTER_DISABLE_SCRAPE_ENDPOINT", "value": "true"},
        ],
    )


def _exporter(
    inputs: Inputs,
    part: Part,
    *,
    image: OperandImage,
    command: Sequence[str],
    **fields: Any,
) -> tuple[dict[str, Any], ...]:
    """The sidecar; none if no Prometheus reads it."""
    plan = inputs.plan.observability
    if not inputs.has_exporters:
        return ()
    assert plan.exporter_cpu_millicores and plan.exporter_memory_bytes, "an exporter has a size"
    memory = plan.exporter_memory_bytes.value
    exporter = part.record.exporter
    assert exporter is not None, "the part has an exporter"
    sidecar = pod.container(
        exporter.container,
        image=image.reference,
        pull_policy=inputs.settings.image_pull_policy,
        command=command,
        ports=pod.container_ports({METRICS: exporter.port}),
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
