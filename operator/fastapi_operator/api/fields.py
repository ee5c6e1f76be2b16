"""Access to fields by path, for example ``postgres.storage.size``."""

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fastapi_operator.api.model import Model, entry_of

Path = tuple[str, ...]


def split(path: str) -> Path:
    """Splits a path into names; a leading ``spec.`` is optional."""
    return tuple(path.removeprefix("spec.").split("."))


def field_at(model: type[BaseModel], path: str) -> FieldInfo:
    """Returns the field of a model at a path of camelCase names.

    Raises:
        ValueError: The field does not exist; the message suggests the nearest name.
    """
    section: type[BaseModel] | None = model
    field: FieldInfo | None = None
    entry: type[BaseModel] | None = None
    for name in split(path):
        if entry is not None:
            # A key of a map.
            section, entry = entry, None
            continue
        own = section.model_fields if section is not None else {}
        fields = {field.alias or key: field for key, field in own.items()}
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"{path}: unknown field {name!r}{hint}")
        field = fields[name]
        section, entry = section_of(field), entry_of(field.annotation)
    assert field is not None, "a path has at least one name"
    return field


def section_of(field: FieldInfo) -> type[Model] | None:
    """Returns the model of a field that is a section; None for a value or a list."""
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Model):
            return candidate
    return None


def sample_at(model: type[BaseModel], path: str) -> Any:
    """Returns a valid value of a field: its first example, or an empty section."""
    field = field_at(model, path)
    if field.examples:
        return field.examples[0]
    return {}


def value_at(spec: Mapping[str, Any], path: Path) -> Any:
    """Returns the value of a spec at a path, or None if it is absent."""
    value: Any = spec
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def with_value(spec: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Returns a copy of a spec with ``value`` at a path."""
    name, *rest = path
    below = spec.get(name)
    inner = below if isinstance(below, Mapping) else {}
    return {**spec, name: with_value(inner, tuple(rest), value) if rest else value}
