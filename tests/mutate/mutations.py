"""The things that can be removed, and the operator without them.

A builder is an entry of ``BUILDERS``: without it a part has no objects. A fragment is a further
function of these modules that returns a tuple, a list or a dictionary: without it that is empty.
A group of template lines is a line of text, or a block of Jinja from its opening tag to its end.
"""

import contextlib
import functools
import importlib
import inspect
import pkgutil
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any
from unittest import mock

from fastapi_operator import resources
from fastapi_operator.parts import Part
from fastapi_operator.resources import build, footprint, preflight_check, templates

_TAG = re.compile(r"\s*{%-?\s*(?P<word>\w+).*%}\s*")
_COMMENT = re.compile(r"\s*{#.*#}\s*")
_OPENS, _BRANCHES = ("if", "for", "block"), ("else", "elif")
_EMPTY: Mapping[type, Callable[[], Any]] = {tuple: tuple, list: list, dict: dict, Mapping: dict}


@dataclass(frozen=True)
class Mutation:
    """Something to take away.

    Attributes:
        name: Its name, the same in each run.
        without: Takes it away for the length of a block.
        printed_by: Whose golden cases show it: ``objects``, or the command ``init``.
    """

    name: str
    without: Callable[[], contextlib.AbstractContextManager[Any]]
    printed_by: str = "objects"


def mutations() -> tuple[Mutation, ...]:
    """Everything that can be taken away, builders first."""
    return (*_builders(), *_fragments(), *_lines())


def _builders() -> Iterator[Mutation]:
    for part in build.BUILDERS:
        rest = {key: value for key, value in build.BUILDERS.items() if key is not part}
        yield Mutation(f"builder {part}", functools.partial(_building, rest))


@contextlib.contextmanager
def _building(builders: Mapping[Part, Any]) -> Iterator[None]:
    with mock.patch.object(build, "BUILDERS", builders):
        yield


def _fragments() -> Iterator[Mutation]:
    for found in pkgutil.iter_modules(resources.__path__):
        module = importlib.import_module(f"{resources.__name__}.{found.name}")
        # One describes objects; the other runs in the pod of a preflight.
        if module in (footprint, preflight_check):
            continue
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or name == "build":
                continue
            answer = typing.get_type_hints(function).get("return")
            empty = _EMPTY.get(typing.get_origin(answer) or answer)
            if empty is not None:
                without = functools.partial(_answering, function, empty)
                yield Mutation(f"fragment {found.name}.{name}", without)


@contextlib.contextmanager
def _answering(function: FunctionType, empty: Callable[[], Any]) -> Iterator[None]:
    """Replaces a function wherever a module names it."""
    with contextlib.ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("fastapi_operator."):
                for attribute, value in list(vars(module).items()):
                    if value is function:
                        replaced = mock.patch.object(module, attribute, lambda *_, **__: empty())
                        stack.enter_context(replaced)
        yield


def _lines() -> Iterator[Mutation]:
    environment = templates._environment()
    assert environment.loader is not None
    for template in environment.list_templates():
        source, _, _ = environment.loader.get_source(environment, template)
        lines = source.splitlines(keepends=True)
        for first, last in groups(lines):
            rest = "".join([*lines[: first - 1], *lines[last:]])
            place = f"{first}" if first == last else f"{first}-{last}"
            name = f"template {template}:{place} {lines[first - 1].strip()[:60]}"
            printed_by = "init" if template.startswith("init-") else "objects"
            yield Mutation(name, functools.partial(_reading, template, rest), printed_by)


def groups(lines: list[str]) -> Iterator[tuple[int, int]]:
    """First and last line of each group, counted from 1."""
    opened: list[int] = []
    for number, line in enumerate(lines, start=1):
        tag = _TAG.fullmatch(line)
        word = tag["word"] if tag else ""
        if word in _OPENS:
            opened.append(number)
        elif word.startswith("end"):
            yield opened.pop(), number
        elif line.strip() and word not in _BRANCHES and not _COMMENT.fullmatch(line):
            yield number, number


@contextlib.contextmanager
def _reading(template: str, text: str) -> Iterator[None]:
    import jinja2  # noqa: PLC0415 (as the product imports it)

    environment = templates._environment()
    loader, cache = environment.loader, environment.cache
    assert loader is not None and cache is not None
    cache.clear()
    with mock.patch.object(
        environment, "loader", jinja2.ChoiceLoader([jinja2.DictLoader({template: text}), loader])
    ):
        try:
            yield
        finally:
            cache.clear()
