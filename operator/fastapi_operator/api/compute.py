"""``spec.resources`` and ``spec.traffic``: what the app gets, and what its owner knows of it."""

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
    """Resources of each app pod."""

    requests: ResourceAmounts | None = Field(
        default=None, description="What is reserved for each pod. Default: derived."
    )
    limits: ResourceAmounts | None = Field(
        default=None,
        description="What a pod may use at most. Default: memory as requested, no CPU limit.",
    )


class Traffic(Model):
    """What the owner knows of the load; every figure makes the derived numbers better."""

    peak_requests_per_second: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="Requests per second of the whole service at its daily peak. "
        "Default: unknown, and the replica ceiling is ten pods.",
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
        description="CPU time that one request costs, in milliseconds. Default: 2.",
        examples=[3],
    )
    blocking_milliseconds_per_request: int | None = Field(
        default=None,
        ge=1,
        le=600_000,
        description="Time that one request holds a thread (def endpoints, blocking libraries), "
        "in milliseconds. Default: unknown, and AnyIO's 40 threads are kept.",
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
