"""``spec.redis``: a cache."""

from pydantic import Field

from fastapi_operator.api.model import Model, Quantity


class Redis(Model):
    """A Redis that serves as cache: it evicts when full and keeps nothing over a restart."""

    memory: Quantity | None = Field(
        default=None,
        description="Memory limit of the cache's pod, in bytes; three quarters hold data. "
        "Default: 256Mi.",
        examples=["512Mi"],
    )
