"""``spec.proxy``: the reverse proxy before the app."""

from typing import Literal

from pydantic import Field

from fastapi_operator.api.model import Model, Quantity


class Proxy(Model):
    """nginx between the clients and the app."""

    type: Literal["Nginx", "None"] | None = Field(
        default=None,
        description="The proxy's program; None sends clients to the app. Default: Nginx.",
        examples=["Nginx"],
    )
    replicas: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Proxy pods. Default: 2, or 1 where the app runs one pod.",
        examples=[2],
    )
    max_body_size: Quantity | None = Field(
        default=None,
        description="Largest request body, in bytes; a larger one gets 413. Default: 10Mi.",
        examples=["10Mi"],
    )
    read_timeout_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Seconds the proxy waits for the app's next bytes. Default: 30.",
        examples=[30],
    )
