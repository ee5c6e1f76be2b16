"""Parses YAML or an API object into a ``FastAPIService``, or into problems."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fastapi_operator import naming
from fastapi_operator.api import cel, list_keys, pod_pieces, schema_problems
from fastapi_operator.api.documents import Document, DocumentError, read_documents
from fastapi_operator.api.model import Model, fields_of, section_of
from fastapi_operator.api.service import FastAPIService, Metadata, Spec
from fastapi_operator.problems import Problem, Severity, Stage

ModelT = TypeVar("ModelT", bound=BaseModel)


def find_services(text: str) -> tuple[Document, ...]:
    """Returns the FastAPIServices of a YAML or JSON text, in order, also those in a List.

    Other kinds are ignored, since a file often contains also ConfigMaps.

    Raises:
        DocumentError: The text cannot be parsed, has a duplicate key, or has no FastAPIService.
    """
    objects = [item for document in read_documents(text) for item in _objects(document)]
    services = tuple(found for found in objects if found.body.get("kind") == naming.KIND)
    if not services:
        kinds = sorted({str(found.body.get("kind")) for found in objects})
        others = f"; found kinds: {', '.join(kinds)}" if kinds else ""
        raise DocumentError(f"no document of kind {naming.KIND}{others}")
    return services


def load_services(text: str) -> tuple[dict[str, Any], ...]:
    """Returns the bodies of ``find_services``."""
    return tuple(found.body for found in find_services(text))


def _objects(document: Document) -> Iterator[Document]:
    """Yields the object of a document, or the items of a List from ``kubectl get``."""
    body = document.body
    if not isinstance(body, dict):
        return
    items = body.get("items")
    if str(body.get("kind")) not in ("List", f"{naming.KIND}List") or not isinstance(items, list):
        yield document
        return
    for index, item in enumerate(items):
        root = f"items[{index}]"
        lines = {
            path.removeprefix(root).removeprefix("."): line
            for path, line in document.lines.items()
            if path == root or path.startswith(f"{root}.")
        }
        yield from _objects(Document(item, lines))


def parse_service(
    body: Mapping[str, Any],
) -> tuple[FastAPIService | None, tuple[Problem, ...]]:
    """Parses an object and checks its schema, its rules, and its pieces of pods.

    Args:
        body: The object as the user wrote it, or as the API server stores it.

    Returns:
        The service, or None if there are errors; and all problems.
    """
    problems: list[Problem] = []
    if body.get("apiVersion") != naming.API_VERSION:
        problems.append(
            _error(
                "apiVersion",
                f"{body.get('apiVersion')!r} is not supported",
                f"use {naming.API_VERSION}",
            )
        )
    metadata = _validate(Metadata, body.get("metadata", {}), "metadata", problems)
    raw_spec = body.get("spec")
    if not isinstance(raw_spec, Mapping):
        problems.append(_error("spec", "is required", "set at least image"))
        return None, tuple(problems)
    problems.extend(_nulls(Spec, raw_spec, "spec"))
    given = _without_nulls(Spec, raw_spec)
    spec = _validate(Spec, given, "spec", problems)
    if spec is not None:
        problems.extend(list_keys.find_duplicates(given))
        problems.extend(cel.broken_rules(given))
    if spec is not None and not _has_error(problems):
        problems.extend(pod_pieces.find_malformed(given))
    if _has_error(problems) or metadata is None or spec is None:
        return None, tuple(problems)
    return FastAPIService(metadata=metadata, spec=spec, written=given), tuple(problems)


def _has_error(problems: Iterable[Problem]) -> bool:
    return any(problem.severity is Severity.ERROR for problem in problems)


def _validate(model: type[ModelT], value: Any, root: str, problems: list[Problem]) -> ModelT | None:
    try:
        # JSON mode is strict about scalars, but converts a list to a tuple.
        return model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        problems.extend(
            schema_problems.problem(root, model, detail)
            for detail in error.errors()
            if not schema_problems.is_redundant(detail)
        )
        return None


def _known_fields(model: type[Model]) -> dict[str, type[Model] | None]:
    """Returns the fields of a section, each with its own section, if any."""
    return {name: section_of(field.annotation) for name, field in fields_of(model)}


def _nulls(model: type[Model], section: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Yields a warning for each field that is null, except in parts of a pod."""
    known = _known_fields(model)
    for name, value in section.items():
        inner = known.get(name)
        if value is None and name in known:
            all_defaults = f"write {name}: {{}} for all defaults, or "
            yield Problem(
                severity=Severity.WARNING,
                stage=Stage.SCHEMA,
                path=f"{path}.{name}",
                message="is null, which means absent",
                remedy=f"{all_defaults if inner else ''}remove it",
            )
        elif inner is not None and isinstance(value, Mapping):
            yield from _nulls(inner, value, f"{path}.{name}")
        elif inner is not None and isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from _nulls(inner, item, f"{path}.{name}[{index}]")


def _without_nulls(model: type[Model], section: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a section as the API server stores it, but with unknown fields."""
    known = _known_fields(model)
    return {
        name: _value_without_nulls(known.get(name), value)
        for name, value in section.items()
        if value is not None or name not in known
    }


def _value_without_nulls(model: type[Model] | None, value: Any) -> Any:
    if isinstance(value, Mapping):
        if model is not None:
            return _without_nulls(model, value)
        return {
            name: _value_without_nulls(None, item)
            for name, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [_value_without_nulls(model, item) for item in value]
    # The API server stores 8000.0 as an integer.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _error(path: str, message: str, remedy: str = "") -> Problem:
    return Problem(
        severity=Severity.ERROR, stage=Stage.SCHEMA, path=path, message=message, remedy=remedy
    )
