"""From YAML or an API object to a ``FastAPIService``, or to the problems that forbid it."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fastapi_operator import naming
from fastapi_operator.api import cel
from fastapi_operator.api.model import Model
from fastapi_operator.api.service import FastAPIService, Metadata, Spec
from fastapi_operator.problems import Problem, Severity, Stage

ModelT = TypeVar("ModelT", bound=BaseModel)


class DocumentError(ValueError):
    """The text is not YAML, or no document in it is a FastAPIService."""


class _KubernetesLoader(yaml.SafeLoader):
    """Reads scalars as kubectl does: no dates, no base-60 numbers, ``1e3`` is a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise DocumentError(f"line {line}: the key {key!r} stands twice in one mapping")
            seen.add(key)
        return super().construct_mapping(node, deep)


_KubernetesLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag
        not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_KubernetesLoader.bool_values = yaml.SafeLoader.bool_values | {"y": True, "n": False}
_KubernetesLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), "yYnN")
_KubernetesLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|[1-9][0-9_]*|0)$"),
    list("-+0123456789"),
)
_KubernetesLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([.][0-9]+|[0-9]+([.][0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def load_services(text: str) -> tuple[dict[str, Any], ...]:
    """The FastAPIService documents of a YAML text, in order; other kinds are passed over.

    Raises:
        DocumentError: The text is not YAML, has a duplicate key, or holds no FastAPIService.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_KubernetesLoader))
    except yaml.YAMLError as error:
        raise DocumentError(f"not YAML: {error}") from error
    services = tuple(
        document
        for document in documents
        if isinstance(document, dict) and document.get("kind") == naming.KIND
    )
    if not services:
        raise DocumentError(f"no document of kind {naming.KIND} found")
    return services


def parse_service(
    body: Mapping[str, Any],
) -> tuple[FastAPIService | None, tuple[Problem, ...]]:
    """A service and its warnings, or None and the errors, of the schema and the rule stage.

    Args:
        body: The object as the user wrote it or as the API server stores it.
    """
    problems: list[Problem] = []
    if body.get("apiVersion") != naming.API_VERSION:
        problems.append(
            _error("apiVersion", f"is {body.get('apiVersion')!r}", f"write {naming.API_VERSION}")
        )
    metadata = _validated(Metadata, body.get("metadata", {}), "metadata", problems)
    raw_spec = body.get("spec")
    if not isinstance(raw_spec, Mapping):
        problems.append(_error("spec", "is missing", "it needs at least image"))
        return None, tuple(problems)
    problems.extend(_null_sections(raw_spec))
    given = _without_nulls(raw_spec)
    spec = _validated(Spec, given, "spec", problems)
    if spec is not None:
        problems.extend(cel.broken_rules(given))
    failed = any(problem.severity is Severity.ERROR for problem in problems)
    if failed or metadata is None or spec is None:
        return None, tuple(problems)
    return FastAPIService(metadata=metadata, spec=spec), tuple(problems)


def _validated(
    model: type[ModelT], value: Any, path: str, problems: list[Problem]
) -> ModelT | None:
    try:
        # JSON mode: strict about scalars, yet a list may become a tuple.
        return model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        problems.extend(_problem(path, model, detail) for detail in error.errors())
        return None


def _problem(root: str, model: type[BaseModel], detail: ErrorDetails) -> Problem:
    location = [part for part in detail["loc"] if not _is_union_arm(part)]
    path = _path(root, location)
    match detail["type"]:
        case "extra_forbidden":
            return _error(path, "unknown field", _nearest(model, location))
        case "missing":
            return _error(path, "is required")
        case "literal_error":
            return _error(path, f"is {detail['input']!r}", detail["msg"].replace("Input s", "s"))
        case "value_error":
            return _error(path, detail["msg"].removeprefix("Value error, "))
        case _:
            message = detail["msg"].replace("Input should", "should")
            return _error(path, f"{_quoted(detail['input'])} {message}".strip())


def _is_union_arm(part: str | int) -> bool:
    # Pydantic names the arm of a union and its validators in the location.
    return isinstance(part, str) and ("[" in part or part in ("str", "int"))


def _quoted(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float) else ""


def _path(root: str, location: list[str | int]) -> str:
    path = root
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path


def _nearest(model: type[BaseModel], location: list[str | int]) -> str:
    """Which field was perhaps meant, among those of the section that has the unknown one."""
    section: Any = model
    for part in location[:-1]:
        section = _section_model(section, part)
        if section is None:
            return ""
    names = [field.alias or name for name, field in section.model_fields.items()]
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"


def _section_model(model: Any, part: str | int) -> type[BaseModel] | None:
    if isinstance(part, int):
        return None
    for name, field in model.model_fields.items():
        if part in (field.alias, name):
            candidates = getattr(field.annotation, "__args__", (field.annotation,))
            for candidate in candidates:
                if isinstance(candidate, type) and issubclass(candidate, Model):
                    return candidate
    return None


def _null_sections(spec: Mapping[str, Any], path: str = "spec") -> Iterator[Problem]:
    for name, value in spec.items():
        if value is None:
            yield Problem(
                severity=Severity.WARNING,
                stage=Stage.SCHEMA,
                path=f"{path}.{name}",
                message="is null and counts as absent",
                remedy=f"write {name}: {{}} to have it with all defaults, or remove it",
            )
        elif isinstance(value, Mapping):
            yield from _null_sections(value, f"{path}.{name}")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _error(path: str, message: str, remedy: str = "") -> Problem:
    return Problem(
        severity=Severity.ERROR, stage=Stage.SCHEMA, path=path, message=message, remedy=remedy
    )
