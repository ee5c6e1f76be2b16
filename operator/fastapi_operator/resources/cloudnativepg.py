"""A replicated PostgreSQL that CloudNativePG runs, with derived sizes and PgBouncer in front."""

from typing import Any

from fastapi_operator import naming, quantity
from fastapi_operator.api.postgres import CloudNativePG, Postgres
from fastapi_operator.api.storage import Storage
from fastapi_operator.parts import Part
from fastapi_operator.platforms import MESH_ANNOTATIONS, MESH_LABELS
from fastapi_operator.resources import objects, pod
from fastapi_operator.resources.amounts import with_amounts
from fastapi_operator.resources.database import FIXED_SETTINGS
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import APP_ROLE, DATABASE, Inputs
from fastapi_operator.resources.templates import postgres_size
from fastapi_operator.tuning.amounts import amounts
from fastapi_operator.tuning.plan import DatabasePlan, PostgresPlan

# The label of every pod of a Cluster, also of those that create an instance.
CLUSTER_LABEL = "cnpg.io/cluster"
# The label of CloudNativePG's own pods, in its manifests and in its chart.
OPERATOR_LABELS = {"app.kubernetes.io/name": "cloudnative-pg"}
# Only a replica that surely has every acknowledged commit becomes the primary by itself. Otherwise
# the other replica may be the only one with the newest commits, and be unreachable at that moment.
_QUORUM = {"alpha.cnpg.io/failoverQuorum": "true"}
# The port on which an instance reports its state to CloudNativePG and to the other instances.
STATUS_PORT = 8000


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the Cluster; none in another mode."""
    plan, postgres, granted = inputs.plan.postgres, inputs.spec.postgres, inputs.plan.database
    if plan is None or postgres is None or granted is None or not inputs.runs_cluster:
        return ()
    own = postgres.cloud_native_pg or CloudNativePG()
    instances = plan.instances.value
    durability = own.durability or ("Required" if instances > 2 else "Preferred")
    body = {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": objects.metadata(
            inputs,
            Part.DATABASE,
            inputs.name_of(Part.DATABASE),
            _QUORUM if instances > 2 and durability == "Required" else None,
        ),
        "spec": {
            "instances": instances,
            "inheritedMetadata": _inherited(inputs),
            "bootstrap": {"initdb": {"database": DATABASE, "owner": APP_ROLE}},
            "postgresql": {
                "parameters": _parameters(plan, granted),
                **_synchronous(instances, durability),
            },
            "resources": _resources(inputs, plan, postgres),
            "storage": _storage(inputs, plan, postgres.storage or Storage()),
            **pod.pull_secrets(inputs),
            **({"backup": dict(own.backup)} if own.backup else {}),
        },
    }
    # The volumes are deleted with the Cluster, so a retained database retains its Cluster.
    return (Desired(Part.DATABASE, body, retain=postgres.deletion_policy != "Delete"),)


def _inherited(inputs: Inputs) -> dict[str, Any]:
    """The metadata of all objects that CloudNativePG creates for the Cluster.

    The label by which this operator watches its own objects is not among them.
    """
    selected = naming.selector(inputs.name, Part.DATABASE)
    labels = {**inputs.profile.labels, **MESH_LABELS, **selected}
    return {"labels": labels, "annotations": dict(MESH_ANNOTATIONS)}


def _synchronous(instances: int, durability: str) -> dict[str, Any]:
    """A commit waits for one replica, so that a failover to the newest replica loses none.

    With two instances, waiting without exception would stop all writes while one restarts.
    """
    if instances == 1 or durability == "None":
        return {}
    return {"synchronous": {"method": "any", "number": 1, "dataDurability": durability.lower()}}


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


def _resources(inputs: Inputs, plan: PostgresPlan, postgres: Postgres) -> Any:
    given = amounts(postgres.resources)
    memory_request = given.memory_request or plan.memory_bytes.value
    resources = pod.resources(
        cpu_request=given.cpu_request or plan.cpu_millicores.value,
        cpu_limit=given.cpu_limit or 0,
        # CloudNativePG rejects a request below the shared buffers.
        memory_request=max(memory_request, plan.shared_buffers_bytes.value),
        memory_limit=plan.memory_bytes.value,
    )
    container = {"name": Part.DATABASE.record.container, "resources": resources}
    return with_amounts(inputs, Part.DATABASE, container, is_main=True)["resources"]


def _storage(inputs: Inputs, plan: PostgresPlan, storage: Storage) -> dict[str, Any]:
    storage_class = storage.class_name or inputs.settings.storage_class
    return {
        "size": quantity.format_bytes(plan.storage_bytes.value),
        **({"storageClass": storage_class} if storage_class else {}),
    }
