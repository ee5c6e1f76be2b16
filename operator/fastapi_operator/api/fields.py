"""Fields by their paths: ``postgres.storage.size``, as users, rules and profiles write them."""

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fastapi_operator.api.model import Model

Path = tuple[str, ...]


def split(path: str) -> Path:
    """The names in a path; a leading ``spec.`` may be there or not."""
    return tuple(path.removeprefix("spec.").split("."))


def field_at(model: type[BaseModel], path: str) -> FieldInfo:
    """The field of a model that a path of camelCase names leads to.

    Raises:
        ValueError: There is no such field; the message names the nearest.
    """
    section: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for name in split(path):
        own = section.model_fields if section is not None else {}
        fields = {field.alias or key: field for key, field in own.items()}
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"{path}: there is no field {name!r}{hint}")
        field = fields[name]
        section = section_of(field)
    assert field is not None, "a path has at least one name"
    return field


def section_of(field: FieldInfo) -> type[Model] | None:
    """The model of a field that is a section; None for a value or a list."""
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Model):
            return candidate
    return None


def sample_at(model: type[BaseModel], path: str) -> Any:
    """A value as a user might write it: the field's first example, or an empty section."""
    field = field_at(model, path)
    if field.examples:
        return field.examples[0]
    return {}


def value_at(spec: Mapping[str, Any], path: Path) -> Any:
    """What a spec says at a path; None where it is silent."""
    value: Any = spec
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def with_value(spec: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy of a spec that says ``value`` at a path."""
    name, *rest = path
    below = spec.get(name)
    inner = below if isinstance(below, Mapping) else {}
    return {**spec, name: with_value(inner, tuple(rest), value) if rest else value}
