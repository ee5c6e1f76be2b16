"""Checks the built objects: what a process, the pod standard or the API server would refuse."""

from collections.abc import Iterable, Iterator

from fastapi_operator.problems import Problem
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.environment_problems import environment_problems
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.limit_checks import limit_problems
from fastapi_operator.resources.pod_standard import pod_problems


def object_problems(inputs: Inputs, objects: Iterable[Desired]) -> Iterator[Problem]:
    """Yields the problems of the built objects and of the environment of their processes.

    Args:
        inputs: The service.
        objects: Its built objects.
    """
    built = tuple(objects)
    yield from environment_problems(inputs)
    yield from pod_problems(inputs.spec, built)
    yield from limit_problems(inputs.limits, built)
