"""``spec.availability``, ``spec.rollout``, ``spec.network`` and ``spec.serviceAccount``."""

from typing import Literal

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


class Rollout(Model):
    """The rolling update of the app."""

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
