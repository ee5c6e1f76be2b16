"""The footprint of a service: pods, CPU, memory and storage, summed from its objects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator import quantity
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.resources import templates
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.plan import Plan

_WORKLOADS = ("Deployment", "StatefulSet")


@dataclass(frozen=True)
class Footprint:
    """Requests of all long-running pods and the size of all volumes."""

    pods: int = 0
    cpu_millicores: int = 0
    memory_bytes: int = 0
    storage_bytes: int = 0

    def record(self) -> dict[str, int]:
        """Returns the footprint in the form of ``explain -o json``."""
        return {
            "pods": self.pods,
            "cpuMillicores": self.cpu_millicores,
            "memoryBytes": self.memory_bytes,
            "storageBytes": self.storage_bytes,
        }


def footprints(
    service: FastAPIService, plan: Plan, settings: Settings, facts: Facts
) -> tuple[Footprint, Footprint]:
    """Returns the footprint with the fewest and the most app pods, without Jobs and surge.

    Args:
        service: The service.
        plan: The numbers that ``derive`` returned for it.
        settings: The operator's settings.
        facts: The APIs that the cluster serves.
    """
    with templates.unrendered():
        objects = build(service, plan, settings, facts)
    scaling = plan.scaling
    return (
        _footprint(objects, scaling.min_replicas.value),
        _footprint(objects, scaling.max_replicas.value),
    )


def _footprint(objects: tuple[Desired, ...], app_pods: int) -> Footprint:
    pods = cpu = memory = storage = 0
    for item in objects:
        if item.key.kind == "PersistentVolumeClaim":
            size = item.body["spec"]["resources"]["requests"]["storage"]
            storage += quantity.size_bytes(size)
        elif item.key.kind == "Cluster":
            spec, count = item.body["spec"], item.body["spec"]["instances"]
            requests = spec["resources"]["requests"]
            pods += count
            cpu += count * quantity.millicores(requests["cpu"])
            memory += count * quantity.size_bytes(requests["memory"])
            storage += count * quantity.size_bytes(spec["storage"]["size"])
        elif item.key.kind in _WORKLOADS:
            spec = item.body["spec"]
            count = app_pods if item.part is Part.APP else spec.get("replicas", 1)
            requests = tuple(_requests(spec["template"]["spec"]))
            pods += count
            cpu += count * sum(quantity.millicores(request.get("cpu", 0)) for request in requests)
            memory += count * sum(
                quantity.size_bytes(request.get("memory", 0)) for request in requests
            )
    return Footprint(pods=pods, cpu_millicores=cpu, memory_bytes=memory, storage_bytes=storage)


def _requests(pod: Mapping[str, Any]) -> Iterable[Mapping[str, str]]:
    """Yields the requests of the containers that run at the same time, not of init steps."""
    for container in pod["containers"]:
        yield container.get("resources", {}).get("requests", {})
    for container in pod.get("initContainers", ()):
        if container.get("restartPolicy") == "Always":
            yield container.get("resources", {}).get("requests", {})
