from collections.abc import Iterator
from typing import Any

from fastapi_operator.facts import Facts
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit import services

EVERYTHING: dict[str, Any] = {"redis": {}, "queue": {}, "postgres": {"migrations": {}}}


def built(profile: dict[str, Any]) -> tuple[Desired, ...]:
    settings = Settings.from_mapping({"profiles": {"team": profile}})
    service = services.service(profile="team", **EVERYTHING)
    return build(service, derive(service, settings, Facts()), settings, Facts())


def pods(objects: tuple[Desired, ...]) -> Iterator[dict[str, Any]]:
    for item in objects:
        spec = item.body.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield template


def containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]


def test_every_container_has_a_cpu_limit_if_the_profile_requires_it() -> None:
    limits = [
        container["resources"]["limits"].get("cpu")
        for template in pods(built({"cpuLimits": True}))
        for container in containers(template)
    ]
    assert len(limits) > 6
    assert all(limits)
    free = [c["resources"]["limits"] for t in pods(built({})) for c in containers(t)]
    assert not [limit for limit in free if "cpu" in limit]


def test_labels_of_the_profile_are_on_every_object_and_never_replace_the_operators() -> None:
    labels = {"cost-center": "4711", "fastapi-operator.io/service": "other"}
    objects = built({"labels": labels})
    for metadata in (
        *(item.body["metadata"] for item in objects),
        *(template["metadata"] for template in pods(objects)),
    ):
        assert metadata["labels"]["cost-center"] == "4711"
        assert metadata["labels"]["fastapi-operator.io/service"] == "shop"


def test_operand_images_come_from_the_registry_of_the_profile() -> None:
    images = {
        container["image"]
        for template in pods(built({"imageRegistry": "mirror.example.com/hub"}))
        for container in containers(template)
    }
    images.remove("registry.example.com/shop:1")
    assert len(images) >= 4
    assert all(image.startswith("mirror.example.com/hub/") for image in images)
