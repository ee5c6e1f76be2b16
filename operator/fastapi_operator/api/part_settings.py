"""``spec.parts``: pod and Service metadata, resources and placement of each part."""

from typing import Annotated, Literal

from pydantic import Field

from fastapi_operator.api.compute import Resources
from fastapi_operator.api.model import Annotations, Labels, Model, ObjectName, PodParts


class ContainerSettings(Model):
    """The resources of one container."""

    resources: Resources | None = Field(
        default=None, description="Requests and limits. Default: derived."
    )


class PartSettings(Model):
    """Settings of the pods and Services of one part."""

    resources: Resources | None = Field(
        default=None,
        description="Requests and limits of the part's main container. Parts with such a section "
        "of their own do not have it: app, background, schedules, database and migration. "
        "Default: derived.",
    )
    containers: Annotated[dict[str, ContainerSettings], Field(max_length=16)] | None = Field(
        default=None,
        description="Resources of the part's other containers, by the name of the container. "
        "Default: derived.",
        examples=[{"reload": {"resources": {"limits": {"memory": "32Mi"}}}}],
    )
    pod_labels: Labels | None = Field(
        default=None,
        description="Labels of the pods. Default: none; parts outside of a service mesh have "
        "labels that decline its sidecars.",
        examples=[{"cost-center": "4711"}],
    )
    pod_annotations: Annotations | None = Field(
        default=None,
        description="Annotations of the pods. Default: none; parts outside of a service mesh have "
        "annotations that decline its sidecars.",
        examples=[{"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}],
    )
    service_annotations: Annotations | None = Field(
        default=None,
        description="Annotations of the part's Services. Default: none.",
        examples=[{"cloud.google.com/backend-config": '{"default": "shop"}'}],
    )
    node_selector: Labels | None = Field(
        default=None,
        description="Labels of the nodes that may run the pods, instead of those of availability. "
        "Default: those of availability.",
        examples=[{"node-pool": "data"}],
    )
    tolerations: PodParts | None = Field(
        default=None,
        description="Taints that the pods tolerate, as in a Pod, instead of those of availability. "
        "Default: those of availability.",
        examples=[[{"key": "dedicated", "operator": "Equal", "value": "data"}]],
    )
    runtime_class_name: ObjectName | None = Field(
        default=None,
        description="RuntimeClass of the pods. Default: the cluster's.",
        examples=["gvisor"],
    )


# The parts that have pods.
PartName = Literal[
    "app",
    "background",
    "schedules",
    "proxy",
    "cache",
    "queue",
    "database",
    "backup",
    "pooler",
    "migration",
]
Parts = Annotated[dict[PartName, PartSettings], Field(max_length=10)]
