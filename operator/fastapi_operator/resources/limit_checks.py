"""Checks the final pods and volume claims against the LimitRanges of the namespace.

The API server would refuse such a pod when its controller creates it, so that a rollout would wait.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fastapi_operator.limit_ranges import AMOUNTS, CPU, FORMATS, MEMORY, STORAGE, Limits, TypeLimits
from fastapi_operator.parts import Part
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.resources.desired import Desired

_Body = Mapping[str, Any]
_WORDS = {CPU: "CPU", MEMORY: "memory", STORAGE: "storage"}
_OR_ASK = "or ask the platform team to change the LimitRange"
_STORAGE_FIELDS = {
    Part.BACKUP: "spec.postgres.backup.storage.size",
    Part.CACHE: "spec.redis.persistence.size",
    Part.DATABASE: "spec.postgres.storage.size",
    Part.QUEUE: "spec.queue.persistence.size",
}


class _Use(NamedTuple):
    """Request and limit of one resource, as the API server completes them."""

    request: int | None
    limit: int | None

    @property
    def amounts(self) -> list[int]:
        return [amount for amount in self if amount is not None]


class _Place(NamedTuple):
    """The container, pod or volume that uses a resource, and the field that sets how much."""

    words: str
    path: str


def limit_problems(limits: Limits, objects: Iterable[Desired]) -> Iterator[Problem]:
    """Yields a problem for each container, pod and volume that a LimitRange refuses.

    Args:
        limits: The LimitRanges of the namespace.
        objects: The built objects.
    """
    for desired in objects:
        template = desired.pod_template
        if template is not None:
            yield from _of_pod(limits, desired.part, template["spec"])
        elif desired.body["kind"] == "PersistentVolumeClaim":
            size = _amount(desired.body["spec"]["resources"], "requests", STORAGE)
            place = _Place(f"volume {desired.key.name}", _STORAGE_FIELDS[desired.part])
            yield from _outside(limits.claim, STORAGE, _Use(size, size), place)


def _of_pod(limits: Limits, part: Part, pod: _Body) -> Iterator[Problem]:
    main, *_ = pod["containers"]
    before = pod.get("initContainers", ())
    sidecars = [container for container in before if container.get("restartPolicy") == "Always"]
    main_place = _Place(f"a pod of {part.value}", _main_path(part, main["name"]))
    for resource in (CPU, MEMORY):
        for kind, containers in (("initContainers", before), ("containers", pod["containers"])):
            for container in containers:
                name = container["name"]
                path = main_place.path if container is main else _path(part, kind, name)
                place = _Place(f"container {name} of {part.value}", path)
                use = _completed(limits.container, container, resource)
                yield from _above_default(resource, use, place)
                yield from _outside(limits.container, resource, use, place)
        uses = [
            _completed(limits.container, container, resource)
            for container in (*sidecars, *pod["containers"])
        ]
        yield from _outside(limits.pod, resource, _sum(uses), main_place)


def _completed(limits: TypeLimits, container: _Body, resource: str) -> _Use:
    resources = container.get("resources") or {}
    limit = _amount(resources, "limits", resource)
    request = _amount(resources, "requests", resource)
    request = limit if request is None else request
    defaults = limits.requests.get(resource), limits.limits.get(resource)
    return _Use(
        defaults[0].amount if request is None and defaults[0] else request,
        defaults[1].amount if limit is None and defaults[1] else limit,
    )


def _sum(uses: Iterable[_Use]) -> _Use:
    requests, limits = zip(*uses, strict=True)
    return _Use(_total(requests), _total(limits))


def _total(amounts: Iterable[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _above_default(resource: str, use: _Use, place: _Place) -> Iterator[Problem]:
    """Yields a problem if a request is above the limit that a LimitRange adds."""
    if use.request is not None and use.limit is not None and use.request > use.limit:
        shown, word = FORMATS[resource], _WORDS[resource]
        yield _problem(
            place,
            f"requests {shown(use.request)} of {word}, more than its limit of {shown(use.limit)}, "
            "which a LimitRange of the namespace sets",
            f"set the limit of {word}",
        )


def _outside(limits: TypeLimits, resource: str, use: _Use, place: _Place) -> Iterator[Problem]:
    """Yields a problem with the first bound that a use breaks."""
    shown, word = FORMATS[resource], _WORDS[resource]
    least, most = limits.least.get(resource), limits.most.get(resource)
    ratio = limits.ratios.get(resource)
    if least is not None and (not use.amounts or min(use.amounts) < least.amount):
        message = f"{_has(use, min, resource)}, and LimitRange {least.origin} requires at least "
        message, remedy = f"{message}{shown(least.amount)}", f"set {shown(least.amount)}"
    elif most is not None and (use.limit is None or max(use.amounts) > most.amount):
        message = f"{_has(use, max, resource)}, and LimitRange {most.origin} permits at most "
        message, remedy = f"{message}{shown(most.amount)}", f"set {shown(most.amount)}"
    elif ratio is not None and not (
        use.request and use.limit is not None and use.limit <= use.request * ratio.value
    ):
        message = (
            f"has a limit of {word} of more than {ratio.value} times its request, which LimitRange "
            f"{ratio.origin} does not permit"
        )
        remedy = f"set request and limit of {word} closer to each other"
    else:
        return
    yield _problem(place, message, remedy)


def _problem(place: _Place, message: str, remedy: str) -> Problem:
    return Problem(
        severity=Severity.ERROR,
        stage=Stage.PLAN,
        path=place.path,
        message=f"{place.words} {message}",
        remedy=f"{remedy}, {_OR_ASK}",
    )


def _has(use: _Use, choose: Any, resource: str) -> str:
    amount = FORMATS[resource](choose(use.amounts)) if use.amounts else "no limit"
    return f"has {amount} of {_WORDS[resource]}"


def _amount(resources: _Body, side: str, resource: str) -> int | None:
    text = (resources.get(side) or {}).get(resource)
    return None if text is None else AMOUNTS[resource](text)


def _main_path(part: Part, container: str) -> str:
    field = part.record.resources or f"spec.parts.{part.value}.resources"
    return field.replace("[]", f"[{container}]")


def _path(part: Part, kind: str, container: str) -> str:
    if part.record.runs_app_image and container not in part.record.others:
        return f"spec.{kind}[{container}].resources"
    return f"spec.parts.{part.value}.containers[{container}].resources"
