"""``availability``, ``rollout``, ``network`` and ``serviceAccount``: how the app's pods live."""

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
    """How many pods a drain may take at once."""

    max_unavailable: IntOrPercent | None = Field(
        default=None,
        description="Pods, or their share, that a drain may take away; at least one, so that no "
        "drain hangs. Default: 1.",
        examples=[1, "25%"],
    )


class Availability(Model):
    """Where the pods run, and what may be taken from them."""

    disruption_budget: DisruptionBudget | None = Field(
        default=None, description="How many pods a drain may take. Default: one at a time."
    )
    spread: Literal["Preferred", "Required", "None"] | None = Field(
        default=None,
        description="Whether pods keep apart from each other, by node and by zone; with Required "
        "a pod stays pending rather than crowd a node while another has fewer. Default: "
        "Preferred.",
        examples=["Preferred"],
    )
    priority_class_name: ObjectName | None = Field(
        default=None,
        description="PriorityClass of the pods. Default: the profile's, else the cluster's.",
        examples=["business-critical"],
    )
    node_selector: Labels | None = Field(
        default=None,
        description="Labels of the nodes that may run the pods. Default: the profile's, else any.",
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
    """How a new version replaces the old one."""

    max_surge: IntOrPercent | None = Field(
        default=None,
        description="Pods, or their share, that a rollout adds; they count in the connection "
        "budget. Default: derived.",
        examples=["25%"],
    )
    max_unavailable: IntOrPercent | None = Field(
        default=None,
        description="Pods, or their share, that a rollout may take away first. Default: 0.",
        examples=[0],
    )
    deadline_seconds: int | None = Field(
        default=None,
        ge=10,
        le=86_400,
        description="Seconds without progress after which the rollout counts as failed; old pods "
        "go on serving. Default: 600.",
        examples=[600],
    )


class Network(Model):
    """Who may talk to whom."""

    policies: Literal["Enabled", "Disabled"] | None = Field(
        default=None,
        description="Whether NetworkPolicies are made. Default: Enabled.",
        examples=["Enabled"],
    )
    egress: Literal["Open", "Restricted"] | None = Field(
        default=None,
        description="What the app's pods may reach: Open all but the cloud's metadata address, "
        "Restricted the service's own parts, names and egressTo. Default: Open.",
        examples=["Restricted"],
    )
    egress_to: PodParts | None = Field(
        default=None,
        description="With egress Restricted: further rules, as in a NetworkPolicy's egress. "
        "Default: none.",
        examples=[[{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443}]}]],
    )
    ingress_from: PodParts | None = Field(
        default=None,
        description="Peers that may reach the service's entry, as in a NetworkPolicy's from. "
        "Default: everybody.",
        examples=[[{"namespaceSelector": {"matchLabels": {"name": "gateways"}}}]],
    )


class ServiceAccount(Model):
    """The account of the app's pods."""

    name: ObjectName | None = Field(
        default=None,
        description="An account that exists already. Default: one of the service's own.",
        examples=["shop-existing"],
    )
    annotations: Annotations | None = Field(
        default=None,
        description="Annotations of the service's own account, as cloud identities need them. "
        "Default: none.",
        examples=[{"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/shop"}],
    )
    token: bool | None = Field(
        default=None,
        description="Whether pods get a token for the Kubernetes API. Default: false.",
        examples=[False],
    )
