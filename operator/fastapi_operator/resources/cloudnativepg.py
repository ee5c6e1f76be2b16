"""A replicated PostgreSQL that CloudNativePG runs, with derived sizes and PgBouncer in front.

Experimental: no package that the tests can read contains CloudNativePG's own definition.
"""

from typing import Any

from fastapi_operator import quantity
from fastapi_operator.api.postgres import CloudNativePG, Postgres
from fastapi_operator.api.storage import Storage
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects, pod
from fastapi_operator.resources.database import FIXED_SETTINGS
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import APP_ROLE, DATABASE, Inputs
from fastapi_operator.resources.templates import postgres_size
from fastapi_operator.tuning.amounts import amounts
from fastapi_operator.tuning.plan import DatabasePlan, PostgresPlan


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the Cluster; none in another mode."""
    plan, postgres, granted = inputs.plan.postgres, inputs.spec.postgres, inputs.plan.database
    if plan is None or postgres is None or granted is None or postgres.mode != "CloudNativePG":
        return ()
    backup = (postgres.cloud_native_pg or CloudNativePG()).backup
    body = {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": objects.metadata(inputs, Part.DATABASE, inputs.name_of(Part.DATABASE)),
        "spec": {
            "instances": plan.instances.value,
            "bootstrap": {"initdb": {"database": DATABASE, "owner": APP_ROLE}},
            "postgresql": {"parameters": _parameters(plan, granted)},
            "resources": _resources(plan, postgres),
            "storage": _storage(inputs, plan, postgres.storage or Storage()),
            **pod.pull_secrets(inputs),
            **({"backup": dict(backup)} if backup else {}),
        },
    }
    # The volumes are deleted with the Cluster, so a retained database retains its Cluster.
    return (Desired(Part.DATABASE, body, retain=postgres.deletion_policy != "Delete"),)


def _parameters(plan: PostgresPlan, granted: DatabasePlan) -> dict[str, str]:
    """The settings of the managed database's templates that CloudNativePG lets us set."""
    return {
        "max_connections": str(granted.max_connections.value),
        "shared_buffers": postgres_size(plan.shared_buffers_bytes.value),
        "effective_cache_size": postgres_size(plan.effective_cache_size_bytes.value),
        "maintenance_work_mem": postgres_size(plan.maintenance_work_mem_bytes.value),
        "work_mem": postgres_size(plan.work_mem_bytes.value),
        "max_worker_processes": str(plan.worker_processes.value),
        "max_parallel_workers": str(plan.worker_processes.value),
        "max_parallel_workers_per_gather": str(plan.parallel_workers_per_gather.value),
        "max_wal_size": postgres_size(plan.max_wal_size_bytes.value),
        "min_wal_size": postgres_size(plan.min_wal_size_bytes.value),
        # Among them is pg_stat_statements.track, on which CloudNativePG loads the library and
        # creates the extension.
        **FIXED_SETTINGS,
    }


def _resources(plan: PostgresPlan, postgres: Postgres) -> dict[str, Any]:
    given = amounts(postgres.resources)
    return pod.resources(
        cpu_request=given.cpu_request or plan.cpu_millicores.value,
        cpu_limit=given.cpu_limit or 0,
        memory_request=given.memory_request or plan.memory_bytes.value,
        memory_limit=plan.memory_bytes.value,
    )


def _storage(inputs: Inputs, plan: PostgresPlan, storage: Storage) -> dict[str, Any]:
    storage_class = storage.class_name or inputs.settings.storage_class
    return {
        "size": quantity.format_bytes(plan.storage_bytes.value),
        **({"storageClass": storage_class} if storage_class else {}),
    }
