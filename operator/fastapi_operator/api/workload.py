"""``spec.availability``, ``spec.rollout``, ``spec.network`` and ``spec.serviceAccount``."""

from typing import Annotated, Literal

from pydantic import Field

from fastapi_operator.api.model import (
    Annotations,
    IntOrPercent,
    Labels,
    Model,
    ObjectName,
    PodPart,
    PodParts,
)
from fastapi_operator.api.observability import Percent
from fastapi_operator.api.proxy import HeaderName

Percentage = Annotated[int, Field(ge=1, le=100)]


class DisruptionBudget(Model):
    """The PodDisruptionBudget of the app."""

    max_unavailable: IntOrPercent | None = Field(
        default=None,
        description="Number or percentage of pods that a drain may evict at once, at least one. "
        "Default: 1.",
        examples=[1, "25%"],
    )


class Availability(Model):
    """Placement of the pods, and their disruption budget."""

    disruption_budget: DisruptionBudget | None = Field(
        default=None, description="PodDisruptionBudget of the app. Default: one pod at a time."
    )
    spread: Literal["Preferred", "Required", "None"] | None = Field(
        default=None,
        description="Whether pods are spread over nodes and zones. Required keeps a pod pending if "
        "no node allows an even spread. Default: Preferred.",
        examples=["Preferred"],
    )
    priority_class_name: ObjectName | None = Field(
        default=None,
        description="PriorityClass of the pods. Default: the profile's, else the cluster's.",
        examples=["business-critical"],
    )
    node_selector: Labels | None = Field(
        default=None,
        description="Labels of the nodes that may run the pods. Default: the profile's, else any "
        "node.",
        examples=[{"kubernetes.io/arch": "amd64"}],
    )
    tolerations: PodParts | None = Field(
        default=None,
        description="Taints that the pods tolerate, as in a Pod. Default: none.",
        examples=[[{"key": "dedicated", "operator": "Equal", "value": "web"}]],
    )
    affinity: PodPart | None = Field(
        default=None,
        description="Affinity of the app's pods, as in a Pod. Default: none.",
        examples=[
            {
                "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 1,
                            "preference": {
                                "matchExpressions": [
                                    {"key": "node-pool", "operator": "In", "values": ["web"]}
                                ]
                            },
                        }
                    ]
                }
            }
        ],
    )


class Stickiness(Model):
    """Which requests stay with one version."""

    mode: Literal["Client", "Header", "Request"] | None = Field(
        default=None,
        description="The property that decides the version. Client is the address of the client, "
        "Header the value of a header; with Request each request is decided by itself. Default: "
        "Client if a proxy in front of the service names the client, else Request.",
        examples=["Header"],
    )
    header: HeaderName | None = Field(
        default=None,
        description="Header whose value stays with one version. A request without it is decided "
        "by its client. Required with mode Header. Default: none.",
        examples=["X-User"],
    )


class Canary(Model):
    """A new version that gets a growing share of the requests until it is released."""

    steps: Annotated[tuple[Percentage, ...], Field(min_length=1, max_length=10)] | None = Field(
        default=None,
        description="Percentages of the requests that the new version gets, in ascending order. "
        "Default: 5, 25 and 50.",
        examples=[[5, 25, 50]],
    )
    step_seconds: int | None = Field(
        default=None,
        ge=10,
        le=86_400,
        description="Least seconds of each step. Default: 60.",
        examples=[120],
    )
    min_requests: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Least requests that the new version has in each step. Default: 200.",
        examples=[500],
    )
    max_wait_seconds: int | None = Field(
        default=None,
        ge=10,
        le=604_800,
        description="Most seconds of a step. After them onFailure decides, if there were too few "
        "requests to judge the new version. Default: 3600, or stepSeconds if that is more.",
        examples=[3600],
    )
    max_error_percent: Percent | None = Field(
        default=None,
        description="Most percent of the requests of the new version that may fail, quoted. "
        "Default: from slo, else only the comparison with the released version.",
        examples=["1"],
    )
    max_p95_milliseconds: int | None = Field(
        default=None,
        ge=1,
        le=3_600_000,
        description="Most milliseconds that 95 of 100 requests of the new version may take. "
        "Default: only the comparison with the released version.",
        examples=[300],
    )
    on_failure: Literal["Abort", "Hold"] | None = Field(
        default=None,
        description="Consequence of a failure of the new version. Abort removes it; Hold keeps its "
        "pods without requests until someone decides. Default: Abort.",
        examples=["Abort"],
    )
    stickiness: Stickiness | None = Field(
        default=None, description="Which requests stay with one version. Default: derived."
    )
    version_header: HeaderName | None = Field(
        default=None,
        description="Header with which testers choose the version: stable or canary. It is removed "
        "from requests of other clients: see docs/canary.md. Default: none.",
        examples=["X-Version"],
    )
    testers: Literal["TrustedNetworks", "Everyone"] | None = Field(
        default=None,
        description="Clients that may use versionHeader: those in trusted networks, or all. A "
        "Gateway does not know networks. Default: TrustedNetworks.",
        examples=["TrustedNetworks"],
    )


class Rollout(Model):
    """The rollout of a new version of the app."""

    max_surge: IntOrPercent | None = Field(
        default=None,
        description="Number or percentage of additional pods during a rollout. They count in the "
        "connection budget. Default: derived.",
        examples=["25%"],
    )
    max_unavailable: IntOrPercent | None = Field(
        default=None,
        description="Number or percentage of pods that may be unavailable during a rollout. "
        "Default: 0.",
        examples=[0],
    )
    deadline_seconds: int | None = Field(
        default=None,
        ge=10,
        le=86_400,
        description="Seconds without progress after which a rollout counts as failed. The old pods "
        "continue to serve. Default: 600.",
        examples=[600],
    )
    preflight: Literal["Enabled", "Disabled"] | None = Field(
        default=None,
        description="Whether a pod without Secrets and network imports the app of a new image "
        "before its migration. An image that cannot start is not rolled out. Default: Disabled.",
        examples=["Enabled"],
    )
    canary: Canary | None = Field(
        default=None,
        description="A new version first gets a share of the requests; write {} for all defaults. "
        "Default: none, a rolling update at once.",
    )


class Network(Model):
    """NetworkPolicies of the service."""

    policies: Literal["Enabled", "Disabled"] | None = Field(
        default=None,
        description="Whether to create NetworkPolicies. Default: Enabled.",
        examples=["Enabled"],
    )
    egress: Literal["Open", "Restricted"] | None = Field(
        default=None,
        description="Destinations that the app's pods may reach. Open allows all. "
        "Restricted allows the service's parts, DNS and egressTo. "
        "Default: Open.",
        examples=["Restricted"],
    )
    egress_to: PodParts | None = Field(
        default=None,
        description="With egress Restricted: additional rules, as in a NetworkPolicy's egress. "
        "Default: none.",
        examples=[[{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443}]}]],
    )
    ingress_from: PodParts | None = Field(
        default=None,
        description="Peers that may reach the service's entry, as in a NetworkPolicy's from. "
        "Default: all.",
        examples=[[{"namespaceSelector": {"matchLabels": {"name": "gateways"}}}]],
    )


class ServiceAccount(Model):
    """The ServiceAccount of the app's pods."""

    name: ObjectName | None = Field(
        default=None,
        description="Name of an existing ServiceAccount. Default: a new one for the service.",
        examples=["shop-existing"],
    )
    annotations: Annotations | None = Field(
        default=None,
        description="Annotations of the ServiceAccount that the operator creates, for example for "
        "a cloud identity. Default: none.",
        examples=[{"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/shop"}],
    )
    token: bool | None = Field(
        default=None,
        description="Whether to mount a token for the Kubernetes API. Default: false.",
        examples=[False],
    )
