"""``spec.proxy``: the reverse proxy in front of the app."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.model import DISTINCT, Model, PathTemplates, Quantity, UrlPath

HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]*$", min_length=1, max_length=64)
]
# The proxy's configuration has the value in double quotes. Semicolons and single quotes, which a
# content security policy needs, are plain characters there. Characters that could end the quotes
# are refused.
HeaderValue = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9 .,:;=/_*'()@%&?!+~-]*$", max_length=1024)
]
NetworkRange = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$", max_length=43)
]
# Headers by which apps and gateways recognise a client.
PRIVATE_HEADERS = (
    # Of clients.
    "Authorization",
    "X-Authorization",
    "Proxy-Authorization",
    "Cookie",
    "X-API-Key",
    "X-ApiKey",
    "Api-Key",
    "ApiKey",
    "Ocp-Apim-Subscription-Key",
    "X-Auth-Key",
    "X-Auth-Token",
    "X-Access-Token",
    "Access-Token",
    "X-API-Token",
    "X-Session-Token",
    "X-Session-ID",
    "X-Token",
    "Token",
    "Private-Token",
    "DPoP",
    # Of gateways and of proxies that authenticate.
    "X-User-ID",
    "X-Tenant-ID",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Client-Cert",
    "X-SSL-Client-Cert",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Access-Token",
    "Remote-User",
    "Remote-Email",
    "X-WebAuth-User",
    "X-Authentik-Username",
    "X-Consumer-ID",
    "X-Credential-Identifier",
    "X-Goog-Iap-Jwt-Assertion",
    "X-Goog-Authenticated-User-Email",
    "X-Amzn-Oidc-Data",
    "X-Amzn-Oidc-Identity",
    "X-MS-Client-Principal",
    "X-MS-Client-Principal-ID",
    "Cf-Access-Jwt-Assertion",
    "Tailscale-User-Login",
)
Paths = Annotated[tuple[UrlPath, ...], Field(min_length=1, max_length=32)]


class CachedRoute(Model):
    """A path whose GET responses the proxy may cache."""

    path: UrlPath = Field(description="Path prefix of the route.", examples=["/items"])
    seconds: int = Field(
        ge=1,
        le=86_400,
        description="Seconds that a response is fresh, unless the app sets Cache-Control.",
        examples=[10],
    )


class HttpCache(Model):
    """The proxy's HTTP cache.

    Requests with one of the private headers bypass it. Responses with Set-Cookie are never cached.
    """

    routes: Annotated[tuple[CachedRoute, ...], Field(min_length=1, max_length=32)] = Field(
        description="Routes to cache."
    )
    stale_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="Seconds that a stale response is served while one request refreshes it, or "
        "while the app fails. A response that is not requested for this long is removed. 0 serves "
        "fresh responses only. Default: the largest seconds of the routes.",
        examples=[60],
    )
    private_headers: Annotated[tuple[HeaderName, ...], Field(max_length=64)] | None = Field(
        default=None,
        description="Headers that mark a private request: its response is neither read from the "
        f"cache nor stored. Default: {', '.join(PRIVATE_HEADERS)}.",
        examples=[["Authorization", "Cookie", "X-Tenant"]],
    )
    size: Quantity | None = Field(
        default=None,
        description="Size of the cache in each proxy pod, in bytes. Default: 256Mi.",
        examples=["1Gi"],
    )


class StaticFiles(Model):
    """Files of the app's image that the proxy serves."""

    path: UrlPath = Field(description="Path prefix of the URLs.", examples=["/static"])
    directory: UrlPath = Field(
        description="Directory in the app's image.", examples=["/app/static"]
    )
    max_age_seconds: int | None = Field(
        default=None,
        ge=0,
        le=31_536_000,
        description="Seconds that clients may cache a file. Default: 3600.",
        examples=[86_400],
    )


class RateLimit(Model):
    """Request rate limit of each client. Requests beyond it get 429."""

    requests_per_second: int = Field(
        ge=1,
        le=100_000,
        description="Requests per second of one client address. Each proxy pod counts separately.",
        examples=[50],
    )
    burst: int | None = Field(
        default=None,
        ge=0,
        le=100_000,
        description="Requests beyond the rate that are accepted at once. Default: twice the rate.",
        examples=[100],
    )
    paths: Paths | None = Field(
        default=None,
        description="Path prefixes to limit. Default: all paths.",
        examples=[["/login"]],
    )


class Compression(Model):
    """Compression of responses."""

    enabled: bool | None = Field(
        default=None,
        description="Whether to compress text and JSON. Default: true.",
        examples=[True],
    )
    min_bytes: int | None = Field(
        default=None,
        ge=0,
        le=10_000_000,
        description="Size of the smallest response to compress, in bytes. Default: 1024.",
        examples=[1024],
    )


class Header(Model):
    """A header that the proxy sets in every response."""

    name: HeaderName = Field(description="Name of the header.", examples=["X-Frame-Options"])
    value: HeaderValue = Field(description="Value of the header.", examples=["DENY"])


class Headers(Model):
    """Headers of responses."""

    security: bool | None = Field(
        default=None,
        description="Whether to set X-Content-Type-Options, Referrer-Policy, X-Frame-Options and, "
        "with exposure.tls, Strict-Transport-Security, unless the app sets them. Default: true.",
        examples=[True],
    )
    add: Annotated[tuple[Header, ...], Field(max_length=32)] | None = Field(
        default=None,
        description="Additional headers. They replace headers of the app with the same name. "
        "Default: none.",
    )


class Timeouts(Model):
    """Timeouts of the proxy."""

    connect_seconds: int | None = Field(
        default=None,
        ge=1,
        le=60,
        description="Seconds to wait for a connection to a pod of the app. Default: 2.",
        examples=[2],
    )
    read_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Seconds to wait between two reads of the app's response. Default: 30.",
        examples=[30],
    )
    client_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Seconds to wait between two reads of a client's request. Default: 15.",
        examples=[15],
    )


class Proxy(Model):
    """The reverse proxy between clients and the app: nginx, Caddy or none."""

    engine: Literal["Nginx", "Caddy", "None"] | None = Field(
        default=None,
        description="Proxy software. None sends clients directly to the app. Default: Nginx.",
        examples=["Nginx"],
    )
    replicas: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Number of proxy pods. Default: 2, or 1 if the app runs one pod.",
        examples=[2],
    )
    balancing: Literal["Pods", "Service"] | None = Field(
        default=None,
        description="Targets of requests. Pods: each request is sent to the pod with the fewest, "
        "and a pod gets no more than maxConnectionsPerPod. Service: a service mesh or kube-proxy "
        "chooses the pod, and the proxy does not limit them. Default: Pods.",
        examples=["Service"],
    )
    max_connections_per_pod: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Requests that a pod of the app gets at once, from all proxy pods together; "
        "streamingPaths do not count. If all pods have so many, the proxy responds with 503 and "
        "Retry-After. Default: derived from workers and spec.traffic.",
        examples=[64],
    )
    max_streams_per_pod: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Open requests to streamingPaths for each pod of the app, from all proxy pods "
        "together. Default: 1000 for each worker.",
        examples=[2000],
    )
    max_requests_per_client: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Requests of one client address in progress in each proxy pod; more get 503 "
        "with Retry-After. Requires a proven address (trustedNetworks) and engine Nginx. Default: "
        "derived, or no limit without a proven address.",
        examples=[200],
    )
    max_body_size: Quantity | None = Field(
        default=None,
        description="Largest request body, in bytes. Larger requests get 413. Default: 10Mi.",
        examples=["10Mi"],
    )
    max_header_size: Quantity | None = Field(
        default=None,
        description="Largest request line and largest single header, in bytes, at least 1Ki. "
        "Larger requests get 414 or 431. Default: 8Ki.",
        examples=["16Ki"],
    )
    timeouts: Timeouts | None = Field(
        default=None, description="Timeouts of the proxy. Default: derived."
    )
    streaming_paths: PathTemplates | None = Field(
        default=None,
        description="Path prefixes whose responses are not buffered and may be idle for an hour, "
        "for example server-sent events and WebSockets. A parameter in braces is any segment. "
        "Default: none.",
        examples=[["/events", "/chats/{chat_id}/stream"]],
    )
    cache: HttpCache | None = Field(
        default=None,
        description="HTTP cache of the proxy. Requires engine Nginx. Default: none.",
    )
    static: Annotated[tuple[StaticFiles, ...], Field(max_length=16)] | None = Field(
        default=None, description="Files of the app's image that the proxy serves. Default: none."
    )
    rate_limit: RateLimit | None = Field(
        default=None,
        description="Request rate limit of each client. Requires engine Nginx. Default: none.",
    )
    compression: Compression | None = Field(
        default=None, description="Compression of responses. Default: text and JSON."
    )
    headers: Headers | None = Field(
        default=None, description="Headers of responses. Default: the security headers."
    )
    trusted_networks: (
        Annotated[tuple[NetworkRange, ...], Field(max_length=32, json_schema_extra=DISTINCT)] | None
    ) = Field(
        default=None,
        description="Networks of proxies and load balancers that may name the client, in "
        "X-Forwarded-For or PROXY protocol. Default: the private networks with exposure.gateway, "
        "exposure.ingress or loadBalancer.proxyProtocol, and none otherwise.",
        examples=[["10.0.0.0/8"]],
    )
