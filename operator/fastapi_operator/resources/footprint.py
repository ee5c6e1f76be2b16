"""The footprint of a service: pods, CPU, memory and storage, summed from its objects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastapi_operator import quantity
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.resources import templates
from fastapi_operator.resources.build import build
from fastapi_operator.resources.canary import largest_stage
from fastapi_operator.resources.desired import Desired, ObjectKey
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

    def __add__(self, other: "Footprint") -> "Footprint":
        """Adds the resources of two footprints."""
        return Footprint(
            pods=self.pods + other.pods,
            cpu_millicores=self.cpu_millicores + other.cpu_millicores,
            memory_bytes=self.memory_bytes + other.memory_bytes,
            storage_bytes=self.storage_bytes + other.storage_bytes,
        )

    def record(self) -> dict[str, int]:
        """Returns the footprint in the form of ``explain -o json``."""
        return {
            "pods": self.pods,
            "cpuMillicores": self.cpu_millicores,
            "memoryBytes": self.memory_bytes,
            "storageBytes": self.storage_bytes,
        }


class Range(NamedTuple):
    """The footprints with the fewest and with the most app pods."""

    least: Footprint
    most: Footprint


def footprints_of_parts(
    service: FastAPIService, plan: Plan, settings: Settings, facts: Facts
) -> Mapping[Part, Range]:
    """Returns the footprint of each part that has pods or volumes, without Jobs and surge.

    The most app pods include those of a canary.

    Args:
        service: The service.
        plan: The numbers that ``derive`` returned for it.
        settings: The operator's settings.
        facts: The APIs that the cluster serves.
    """
    with templates.unrendered():
        stage = largest_stage(plan.canary) if plan.canary else None
        objects = build(service, plan, settings, facts, stage)
    bounds = _bounds(objects, plan)
    found: dict[Part, Range] = {}
    for item in objects:
        before = found.get(item.part, Range(Footprint(), Footprint()))
        fewest, most = bounds.get(item.key, (None, None))
        least = Footprint() if item.part is Part.CANARY else _footprint(item, fewest)
        found[item.part] = Range(before.least + least, before.most + _footprint(item, most))
    return {part: sizes for part, sizes in found.items() if sizes.most != Footprint()}


def footprints(service: FastAPIService, plan: Plan, settings: Settings, facts: Facts) -> Range:
    """Returns the footprint of all parts together; the arguments are the same."""
    return total(footprints_of_parts(service, plan, settings, facts).values())


def total(sizes: Iterable[Range]) -> Range:
    """Returns the sum of the footprints of parts."""
    least, most = Footprint(), Footprint()
    for size in sizes:
        least, most = least + size.least, most + size.most
    return Range(least, most)


def _bounds(objects: Iterable[Desired], plan: Plan) -> Mapping[ObjectKey, tuple[int, int]]:
    """Returns the fewest and the most pods of each autoscaled workload."""
    app = plan.scaling.min_replicas.value, plan.scaling.max_replicas.value
    workers = {
        item.body["spec"]["scaleTargetRef"]["name"]: item.body["spec"]["maxReplicaCount"]
        for item in objects
        if item.key.kind == "ScaledObject"
    }
    return {
        item.key: app
        if item.part is Part.APP
        else (item.body["spec"]["replicas"], workers[item.key.name])
        for item in objects
        if item.part is Part.APP or item.hands_over_replicas
    }


def _footprint(item: Desired, pods: int | None) -> Footprint:
    """Returns the footprint of an object; ``pods`` is None if their number is fixed."""
    if item.key.kind == "PersistentVolumeClaim":
        size = item.body["spec"]["resources"]["requests"]["storage"]
        return Footprint(storage_bytes=quantity.size_bytes(size))
    if item.key.kind == "Cluster":
        spec, count = item.body["spec"], item.body["spec"]["instances"]
        requests: tuple[Mapping[str, Any], ...] = (spec["resources"]["requests"],)
        storage = count * quantity.size_bytes(spec["storage"]["size"])
    elif item.key.kind in _WORKLOADS:
        spec, storage = item.body["spec"], 0
        count = spec.get("replicas", 1) if pods is None else pods
        requests = tuple(requests_of(spec["template"]["spec"]))
    else:
        return Footprint()
    return Footprint(
        pods=count,
        cpu_millicores=count * sum(quantity.millicores(item.get("cpu", 0)) for item in requests),
        memory_bytes=count * sum(quantity.size_bytes(item.get("memory", 0)) for item in requests),
        storage_bytes=storage,
    )


def requests_of(pod: Mapping[str, Any]) -> Iterable[Mapping[str, str]]:
    """Yields the requests of the containers that run at the same time, not of init steps."""
    for container in pod["containers"]:
        yield container.get("resources", {}).get("requests", {})
    for container in pod.get("initContainers", ()):
        if container.get("restartPolicy") == "Always":
            yield container.get("resources", {}).get("requests", {})
