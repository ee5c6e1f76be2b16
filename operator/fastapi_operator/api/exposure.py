"""``spec.exposure``: how clients outside the cluster reach the service."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.model import (
    DISTINCT,
    Annotations,
    Model,
    ObjectName,
    PodParts,
    ShortName,
    UrlPath,
)

HostName = Annotated[
    str,
    StringConstraints(
        pattern=r"^([*][.])?[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)+$",
        min_length=1,
        max_length=253,
    ),
]


class GatewayTimeouts(Model):
    """How long a Gateway waits, from the beginning of a request to the end of its response."""

    request_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="Seconds for a request with all attempts; 0 sets no limit. Default: longer "
        "than one attempt.",
        examples=[60],
    )
    backend_request_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="Seconds for one attempt; 0 sets no limit. Default: longer than the timeouts "
        "of the proxy.",
        examples=[45],
    )


class GatewayRetry(Model):
    """Which failed requests a Gateway sends again: GET and HEAD, which change nothing."""

    attempts: int | None = Field(
        default=None,
        ge=1,
        le=5,
        description="Further attempts of a request. Default: 1.",
        examples=[2],
    )
    codes: (
        Annotated[
            tuple[Annotated[int, Field(ge=500, le=599)], ...],
            Field(min_length=1, max_length=8, json_schema_extra=DISTINCT),
        ]
        | None
    ) = Field(
        default=None,
        description="Status codes of responses to retry. Default: 502.",
        examples=[[502]],
    )
    backoff_milliseconds: int | None = Field(
        default=None,
        ge=1,
        le=60_000,
        description="Least milliseconds between two attempts. Default: 50.",
        examples=[100],
    )


class Gateway(Model):
    """The Gateway to which an HTTPRoute is attached."""

    name: ObjectName | None = Field(
        default=None,
        description="Name of the Gateway. Default: the profile's.",
        examples=["public"],
    )
    namespace: ObjectName | None = Field(
        default=None,
        description="Namespace of the Gateway. Default: the profile's, else the service's own.",
        examples=["gateways"],
    )
    section_name: ObjectName | None = Field(
        default=None,
        description="Listener of the Gateway. Default: all that match the hosts.",
        examples=["https"],
    )
    timeouts: GatewayTimeouts | None = Field(
        default=None,
        description="Timeouts of the HTTPRoute, without a limit for streamingPaths; write {} for "
        "derived ones. Requires a Gateway that supports them. Default: those of the Gateway.",
    )
    retry: GatewayRetry | None = Field(
        default=None,
        description="Retries of the HTTPRoute, for GET and HEAD; write {} for derived ones. "
        "Requires the field retry in the cluster's Gateway API. Default: none.",
    )


class Ingress(Model):
    """An Ingress, for clusters without a Gateway."""

    class_name: ObjectName | None = Field(
        default=None,
        description="IngressClass of the Ingress. Default: the profile's, else the cluster's.",
        examples=["traefik"],
    )
    annotations: Annotations | None = Field(
        default=None,
        description="Annotations of the Ingress. Default: none.",
        examples=[{"traefik.ingress.kubernetes.io/router.entrypoints": "websecure"}],
    )


class LoadBalancer(Model):
    """A Service of type LoadBalancer."""

    class_name: ObjectName | None = Field(
        default=None,
        description="Class of the load balancer. Default: the cluster's.",
        examples=["internal"],
    )
    annotations: Annotations | None = Field(
        default=None,
        description="Annotations of the Service. Default: none.",
        examples=[{"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"}],
    )
    external_traffic_policy: Literal["Local", "Cluster"] | None = Field(
        default=None,
        description="Whether a node forwards connections only to its own pods, which preserves the "
        "client's address, or to all pods. Default: Local.",
        examples=["Local"],
    )
    proxy_protocol: bool | None = Field(
        default=None,
        description="Whether the load balancer names the client in PROXY protocol. With Nginx, "
        "each connection to the entry Service must then begin with its header. Default: false.",
        examples=[True],
    )


class Issuer(Model):
    """A cert-manager issuer."""

    name: ObjectName = Field(description="Name of the issuer.", examples=["letsencrypt"])
    kind: Literal["Issuer", "ClusterIssuer"] | None = Field(
        default=None,
        description="Kind of the issuer. Default: ClusterIssuer.",
        examples=["ClusterIssuer"],
    )


class Tls(Model):
    """The certificate of the hosts."""

    secret_name: ObjectName | None = Field(
        default=None,
        description="Existing Secret of type kubernetes.io/tls whose certificate is valid for all "
        "hosts. Default: a Secret that the issuer fills.",
        examples=["shop-tls"],
    )
    issuer: Issuer | None = Field(
        default=None,
        description="Issuer of the Certificate. Default: the profile's.",
    )


Hosts = Annotated[
    tuple[HostName, ...], Field(min_length=1, max_length=32, json_schema_extra=DISTINCT)
]


class EntryGateway(Model):
    """The Gateway to which the HTTPRoute of an entry is attached."""

    name: ObjectName = Field(description="Name of the Gateway.", examples=["internal"])
    namespace: ObjectName | None = Field(
        default=None,
        description="Namespace of the Gateway. Default: the service's own.",
        examples=["gateways"],
    )
    section_name: ObjectName | None = Field(
        default=None,
        description="Listener of the Gateway. Default: all that match the hosts.",
        examples=["https"],
    )


class Entry(Model):
    """A further entry of the service: a port of the proxy that only its own Service reaches."""

    name: ShortName = Field(
        description="Name of the entry, unique in the service. Its objects are NAME-entry-<name>.",
        examples=["admin"],
    )
    hosts: Hosts | None = Field(
        default=None,
        description="Host names of the entry. Required by gateway and ingress. Default: none, and "
        "only its Service is created.",
        examples=[["admin.example.com"]],
    )
    paths: (
        Annotated[
            tuple[UrlPath, ...], Field(min_length=1, max_length=16, json_schema_extra=DISTINCT)
        ]
        | None
    ) = Field(
        default=None,
        description="Path prefixes that the entry serves, also if they are in privatePaths. "
        "Default: all that are not.",
        examples=[["/admin"]],
    )
    gateway: EntryGateway | None = Field(
        default=None, description="Creates an HTTPRoute for a Gateway. Default: none."
    )
    ingress: Ingress | None = Field(
        default=None,
        description="Creates an Ingress; write {} for the cluster's class. Default: none.",
    )
    tls: Tls | None = Field(
        default=None,
        description="Certificate of the hosts; write {} if the edge has one. Default: none, and "
        "its URL is an http URL.",
    )
    ingress_from: PodParts | None = Field(
        default=None,
        description="Peers that may reach the entry, as in a NetworkPolicy's from. "
        "Default: network.ingressFrom.",
        examples=[[{"namespaceSelector": {"matchLabels": {"name": "gateways"}}}]],
    )


class Exposure(Model):
    """Hosts of the service, and the objects that route them to it."""

    hosts: Hosts | None = Field(
        default=None,
        description="Host names of the service. Required by gateway, ingress and tls. "
        "Default: none.",
        examples=[["shop.example.com"]],
    )
    gateway: Gateway | None = Field(
        default=None,
        description="Creates an HTTPRoute for a Gateway; write {} for the profile's Gateway. "
        "Default: none.",
    )
    ingress: Ingress | None = Field(
        default=None,
        description="Creates an Ingress; write {} for the profile's class, else the cluster's. "
        "Default: none.",
    )
    load_balancer: LoadBalancer | None = Field(
        default=None,
        description="Gives the entry Service the type LoadBalancer. Default: none.",
    )
    tls: Tls | None = Field(
        default=None,
        description="Certificate of the hosts; write {} for the profile's issuer. "
        "Default: none, and status.url is an http URL.",
    )
    private_paths: (
        Annotated[tuple[UrlPath, ...], Field(max_length=32, json_schema_extra=DISTINCT)] | None
    ) = Field(
        default=None,
        description="Path prefixes for which the proxy returns 404, except at entries that have "
        "them in paths. Default: none.",
        examples=[["/admin", "/docs"]],
    )
    entries: Annotated[tuple[Entry, ...], Field(max_length=4)] | None = Field(
        default=None,
        description="Further entries with other hosts, paths and ways in, for example for "
        "administrators. Default: none.",
    )
    idle_timeout_seconds: int | None = Field(
        default=None,
        ge=1,
        le=3600,
        description="Seconds after which the load balancer closes an idle connection. The proxy "
        "keeps its connections open longer. Default: 60.",
        examples=[60],
    )
