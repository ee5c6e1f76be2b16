"""``spec.proxy``: the reverse proxy before the app."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.model import Model, Quantity, UrlPath

HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]*$", min_length=1, max_length=64)
]
# Stands between double quotes in the proxy's configuration, so that semicolons and single quotes
# are plain characters, as a content security policy needs; what could end the quotes is refused.
HeaderValue = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9 .,:;=/_*'()@%&?!+~-]*$", max_length=1024)
]
NetworkRange = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$", max_length=43)
]
Paths = Annotated[tuple[UrlPath, ...], Field(min_length=1, max_length=32)]


class CachedRoute(Model):
    """Answers to GET below a path that the proxy may keep."""

    path: UrlPath = Field(description="The path, with all below it.", examples=["/items"])
    seconds: int = Field(
        ge=1,
        le=86_400,
        description="Seconds that an answer is fresh, where the app's Cache-Control says nothing.",
        examples=[10],
    )


class HttpCache(Model):
    """The proxy's own cache.

    Requests with Authorization or Cookie go past it, answers with Set-Cookie are never kept.
    """

    routes: Annotated[tuple[CachedRoute, ...], Field(min_length=1, max_length=32)] = Field(
        description="What may be cached."
    )
    stale_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="An old answer still serves while one request renews it and while the app "
        "fails; one that nobody asked for during these seconds is dropped. 0: only fresh answers "
        "serve. Default: as long as the longest seconds of the routes.",
        examples=[60],
    )
    size: Quantity | None = Field(
        default=None,
        description="Room for answers in each proxy pod, in bytes. Default: 256Mi.",
        examples=["1Gi"],
    )


class StaticFiles(Model):
    """Files of the app's image that the proxy serves itself."""

    path: UrlPath = Field(description="Path of the URLs.", examples=["/static"])
    directory: UrlPath = Field(
        description="Directory in the app's image.", examples=["/app/static"]
    )
    max_age_seconds: int | None = Field(
        default=None,
        ge=0,
        le=31_536_000,
        description="Seconds that clients may keep a file. Default: 3600.",
        examples=[86_400],
    )


class RateLimit(Model):
    """How fast one client may ask; faster ones get 429."""

    requests_per_second: int = Field(
        ge=1,
        le=100_000,
        description="Requests per second of one client address; each proxy pod counts by itself.",
        examples=[50],
    )
    burst: int | None = Field(
        default=None,
        ge=0,
        le=100_000,
        description="Requests above the rate that are let through at once. Default: twice the "
        "rate.",
        examples=[100],
    )
    paths: Paths | None = Field(
        default=None,
        description="Paths to limit, each with all below it. Default: all.",
        examples=[["/login"]],
    )


class Compression(Model):
    """Compression of answers."""

    enabled: bool | None = Field(
        default=None,
        description="Whether text and JSON are compressed. Default: true.",
        examples=[True],
    )
    min_bytes: int | None = Field(
        default=None,
        ge=0,
        le=10_000_000,
        description="Smallest answer that is compressed, in bytes. Default: 1024.",
        examples=[1024],
    )


class Header(Model):
    """A header that the proxy sets in every answer."""

    name: HeaderName = Field(description="Name of the header.", examples=["X-Frame-Options"])
    value: HeaderValue = Field(description="Value of the header.", examples=["DENY"])


class Headers(Model):
    """Headers of answers."""

    security: bool | None = Field(
        default=None,
        description="Whether X-Content-Type-Options, Referrer-Policy, X-Frame-Options and, with "
        "exposure.tls, Strict-Transport-Security are set where the app does not set them. "
        "Default: true.",
        examples=[True],
    )
    add: Annotated[tuple[Header, ...], Field(max_length=32)] | None = Field(
        default=None,
        description="Further headers; they replace the app's of the same name. Default: none.",
    )


class Timeouts(Model):
    """How long the proxy waits."""

    connect_seconds: int | None = Field(
        default=None,
        ge=1,
        le=60,
        description="Seconds to reach a pod of the app. Default: 2.",
        examples=[2],
    )
    read_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Seconds between two pieces of the app's answer. Default: 30.",
        examples=[30],
    )
    client_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Seconds between two pieces of a client's request. Default: 15.",
        examples=[15],
    )


class Proxy(Model):
    """nginx or Caddy between the clients and the app."""

    engine: Literal["Nginx", "Caddy", "None"] | None = Field(
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
    max_header_size: Quantity | None = Field(
        default=None,
        description="Largest request line and largest single header, in bytes, at least 1Ki; a "
        "larger one gets 414 or 431. Default: 8Ki.",
        examples=["16Ki"],
    )
    timeouts: Timeouts | None = Field(
        default=None, description="How long the proxy waits. Default: derived."
    )
    streaming_paths: Paths | None = Field(
        default=None,
        description="Paths, each with all below it, whose answers pass unbuffered and may be "
        "silent for an hour: server-sent events and WebSockets. Default: none.",
        examples=[["/events", "/ws"]],
    )
    cache: HttpCache | None = Field(
        default=None,
        description="Answers that the proxy keeps; for engine Nginx. Default: none.",
    )
    static: Annotated[tuple[StaticFiles, ...], Field(max_length=16)] | None = Field(
        default=None, description="Files that the proxy serves from the app's image. Default: none."
    )
    rate_limit: RateLimit | None = Field(
        default=None,
        description="How fast one client may ask; for engine Nginx. Default: no limit.",
    )
    compression: Compression | None = Field(
        default=None, description="Compression of answers. Default: text and JSON."
    )
    headers: Headers | None = Field(
        default=None, description="Headers of answers. Default: the security headers."
    )
    trusted_networks: Annotated[tuple[NetworkRange, ...], Field(max_length=32)] | None = Field(
        default=None,
        description="Addresses of load balancers whose X-Forwarded-For is believed. "
        "Default: the private networks.",
        examples=[["10.0.0.0/8"]],
    )
