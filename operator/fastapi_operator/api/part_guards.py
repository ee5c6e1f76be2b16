"""Checks ``spec.parts``: settings that only the operator makes, or that a part does not have."""

from collections.abc import Iterator, Mapping

from fastapi_operator import naming
from fastapi_operator.api.part_settings import PartSettings
from fastapi_operator.api.service import Spec
from fastapi_operator.parts import Part
from fastapi_operator.platforms import NODE_SELECTOR
from fastapi_operator.problems import Problem, Severity, Stage


def broken_part_guards(spec: Spec) -> Iterator[Problem]:
    """Yields a problem for each setting of a part that the operator makes itself."""
    for name, settings in (spec.parts or {}).items():
        yield from _of_part(Part(name), settings, f"spec.parts.{name}")


def absent_parts(written: Mapping[str, object], present: frozenset[Part]) -> Iterator[Problem]:
    """Yields a problem for each part of ``spec.parts`` that the service does not have.

    Args:
        written: The spec as the user wrote it: a profile may name parts that a service lacks.
        present: The parts that have pods.
    """
    parts = written.get("parts")
    names = parts if isinstance(parts, Mapping) else {}
    for name in names:
        if Part(name) not in present:
            known = ", ".join(part.value for part in Part if part in present)
            yield _problem(
                f"spec.parts.{name}",
                "the service has no pods of this part",
                f"remove it, or use one of {known}",
            )


def _of_part(part: Part, settings: PartSettings, path: str) -> Iterator[Problem]:
    for name in settings.pod_labels or {}:
        if naming.is_reserved_label(name):
            yield _problem(
                f"{path}.podLabels[{name}]",
                "must not be set: selectors and watches depend on it",
                "choose another label",
            )
    for field, annotations in (
        ("podAnnotations", settings.pod_annotations),
        ("serviceAnnotations", settings.service_annotations),
    ):
        for name in annotations or {}:
            if name.startswith(naming.OWN_PREFIX):
                yield _problem(
                    f"{path}.{field}[{name}]",
                    "must not be set: the operator keeps its own state there",
                    "choose another annotation",
                )
    if settings.service_annotations and not part.record.ports:
        yield _problem(
            f"{path}.serviceAnnotations", "the part has no Kubernetes Service", "remove it"
        )
    if settings.resources is not None and part.record.resources:
        yield _problem(
            f"{path}.resources",
            "must not be set: the part has a field of its own for it",
            f"set {part.record.resources}",
        )
    yield from _unknown_containers(part, settings, path)
    for name, value in NODE_SELECTOR.items():
        if (settings.node_selector or {}).get(name, value) != value:
            yield _problem(
                f"{path}.nodeSelector[{name}]", f"must be {value}: the images need it", "remove it"
            )


def _unknown_containers(part: Part, settings: PartSettings, path: str) -> Iterator[Problem]:
    known = part.record.named_containers
    for name in settings.containers or {}:
        if name not in known:
            others = f"use {' or '.join(known)}" if known else "remove it"
            yield _problem(
                f"{path}.containers[{name}]",
                "is not a container that the operator adds to this part",
                f"{others}; {_main_container(part)}",
            )


def _main_container(part: Part) -> str:
    if part is Part.APP:
        return "set resources of the app in spec.resources, of others in spec.containers"
    field = part.record.resources or f"spec.parts.{part.value}.resources"
    return f"set those of the main container in {field}"


def _problem(path: str, message: str, remedy: str) -> Problem:
    return Problem(Severity.ERROR, Stage.PLAN, path, message, remedy)
