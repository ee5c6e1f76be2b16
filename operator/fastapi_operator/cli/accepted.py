"""The figures that automatic tuning accepted, for commands about a service of the cluster."""

from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import CONFIG_MAP
from fastapi_operator.reconcile.observe.tuning_record import TuningRecord, record_name
from fastapi_operator.tuning.measurements import NOT_MEASURED, Measurements


async def read_accepted(cluster: Cluster, name: str) -> Measurements:
    """Returns the accepted figures of a service; none without a record or the right to read it."""
    try:
        body = await cluster.client.get(CONFIG_MAP, cluster.namespace, record_name(name))
    except ApiError as error:
        if error.status != 403:
            raise
        return NOT_MEASURED
    record = TuningRecord.of(body or {})
    return record.measurements if record is not None else NOT_MEASURED
