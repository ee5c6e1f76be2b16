"""``spec.resources`` and ``spec.traffic``: the app's resources and its expected load."""

from pydantic import Field

from fastapi_operator.api.model import Model, Quantity


class ResourceAmounts(Model):
    """An amount of CPU and of memory."""

    cpu: Quantity | None = Field(
        default=None,
        description="CPU in cores, as a Kubernetes quantity. Default: derived.",
        examples=["500m"],
    )
    memory: Quantity | None = Field(
        default=None,
        description="Memory in bytes, as a Kubernetes quantity. Default: derived.",
        examples=["512Mi"],
    )


class Resources(Model):
    """Resource requests and limits of each pod."""

    requests: ResourceAmounts | None = Field(
        default=None, description="Resources that are reserved for each pod. Default: derived."
    )
    limits: ResourceAmounts | None = Field(
        default=None,
        description="Resources that a pod may use at most. Default: the memory request, and no "
        "CPU limit.",
    )


class Traffic(Model):
    """The expected load. Each figure makes the derived numbers more accurate."""

    peak_requests_per_second: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="Requests per second of the whole service at its daily peak. "
        "Default: unknown, and maxReplicas is at most 10.",
        examples=[1200],
    )
    p95_milliseconds: int | None = Field(
        default=None,
        ge=1,
        le=600_000,
        description="95th percentile of the response time at low load, in milliseconds. "
        "Default: 50.",
        examples=[40],
    )
    cpu_milliseconds_per_request: int | None = Field(
        default=None,
        ge=1,
        le=600_000,
        description="CPU time of one request, in milliseconds. Default: 2.",
        examples=[3],
    )
    blocking_milliseconds_per_request: int | None = Field(
        default=None,
        ge=1,
        le=600_000,
        description="Time that one request holds a thread (def endpoints, blocking libraries), "
        "in milliseconds. Default: unknown, and AnyIO's default of 40 threads is kept.",
        examples=[20],
    )
    database_milliseconds_per_request: int | None = Field(
        default=None,
        ge=1,
        le=600_000,
        description="Time that one request holds a database connection, in milliseconds. "
        "Default: 5.",
        examples=[8],
    )
