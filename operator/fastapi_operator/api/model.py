"""The base class of every section of ``spec``, and shared field types.

Models are strict (no coercion), frozen, and refuse unknown fields. Every default is None, which
means "derive", so that the fields that the user set can be distinguished.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from fastapi_operator import quantity


class Model(BaseModel):
    """A section of the resource."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        strict=True,
    )


def fields_of(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yields the fields of a section with their camelCase names."""
    for name, field in model.model_fields.items():
        yield field.alias or name, field


def section_of(annotation: Any) -> type[Model] | None:
    """Returns the section in a field's type, also if it is optional or a list of sections.

    A map of sections is a value, because its keys are not names of fields: see ``entry_of``.
    """
    if get_origin(annotation) is dict:
        return None
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    for part in get_args(annotation):
        section = section_of(part)
        if section is not None:
            return section
    return None


def entry_of(annotation: Any) -> type[Model] | None:
    """Returns the section of the entries, if a field's type is a map of sections."""
    if get_origin(annotation) is dict:
        return section_of(get_args(annotation)[1])
    return next(filter(None, map(entry_of, get_args(annotation))), None)


def _check_quantity(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError(f'{value} must be a string; quote it: "{value}"')
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a quantity, for example 500m, 2, 256Mi or 10Gi")
    if isinstance(value, int) and not 0 <= value <= quantity.LARGEST_INTEGER:
        raise ValueError(f"{value} must be between 0 and {quantity.LARGEST_INTEGER}")
    quantity.parse_quantity(value)
    return value


def _check_int_or_percent(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(
            "must be a number of pods, for example 1, or a percentage, for example 25%"
        )
    if isinstance(value, int) and not 0 <= value <= 1000:
        raise ValueError(f"{value} must be between 0 and 1000")
    if isinstance(value, str) and not re.fullmatch(r"(0|[1-9][0-9]?|100)%", value):
        raise ValueError(f"{value!r} must be a percentage between 0% and 100%")
    return value


Quantity = Annotated[
    str | int,
    BeforeValidator(_check_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": quantity.PATTERN,
            "minimum": 0,
            "maximum": quantity.LARGEST_INTEGER,
            "maxLength": 32,
            "x-kubernetes-int-or-string": True,
        }
    ),
]

IntOrPercent = Annotated[
    str | int,
    BeforeValidator(_check_int_or_percent),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": "^(0|[1-9][0-9]?|100)%$",
            "minimum": 0,
            "maximum": 1000,
            "maxLength": 4,
            "x-kubernetes-int-or-string": True,
        }
    ),
]

# A path of a route, without characters that could end a directive in nginx.conf.
UrlPath = Annotated[
    str, StringConstraints(pattern=r"^/[A-Za-z0-9._~/-]*$", min_length=1, max_length=256)
]
# As in a route of the app: a parameter is a whole segment.
PathTemplate = Annotated[
    str,
    StringConstraints(
        pattern=r"^(/([A-Za-z0-9._~-]*|\{[A-Za-z_][A-Za-z0-9_]*(:(int|str|float|uuid))?\}))+$",
        min_length=1,
        max_length=256,
    ),
]
PathTemplates = Annotated[tuple[PathTemplate, ...], Field(min_length=1, max_length=32)]
Endpoint = Annotated[
    str,
    StringConstraints(
        pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?$", max_length=512
    ),
]
# A name that is a prefix of object names: lower case, as in a host name.
ShortName = Annotated[
    str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", min_length=1, max_length=20)
]
SecretKey = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", min_length=1, max_length=253)
]
# An argument of a command: any text without control characters.
Argument = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]*$", max_length=1024)]
Arguments = Annotated[tuple[Argument, ...], Field(min_length=1, max_length=64)]
# Empty for that of the image, as in a Pod.
Command = Annotated[tuple[Argument, ...], Field(max_length=64)]
ObjectName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", min_length=1, max_length=253),
]
LabelName = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
        min_length=1,
        max_length=317,
    ),
]
LabelValue = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$", max_length=63)
]
Labels = Annotated[dict[LabelName, LabelValue], Field(max_length=16)]
# Values of annotations are free text: they are written to objects, never to a template.
Annotations = Annotated[
    dict[LabelName, Annotated[str, StringConstraints(max_length=2048)]], Field(max_length=32)
]
# Part of a pod without a schema here. The API server checks it when the owned object is applied.
PodPart = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
PodParts = Annotated[tuple[PodPart, ...], Field(max_length=64)]
# Kubernetes merges these lists by a key. With a duplicate key, server-side apply of the pod fails,
# so the API server refuses it in the spec already, and ``api/list_keys.py`` does so here.
MERGED_BY, LIST_TYPE = "x-kubernetes-list-map-keys", "x-kubernetes-list-type"
# The names of containers and volumes.
NAMED = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "required": ["name"],
    "properties": {
        "name": {
            "type": "string",
            "description": "Unique name within the list.",
            "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
            "maxLength": 63,
        }
    },
}
VARIABLE = NAMED | {
    "properties": {
        "name": {
            "type": "string",
            "description": "Unique name of the variable.",
            # As in a Pod: printable ASCII except the equals sign.
            "pattern": "^[ -<>-~]+$",
            "maxLength": 1024,
        }
    },
}
MOUNT = NAMED | {
    "required": ["mountPath"],
    "properties": {
        "mountPath": {
            "type": "string",
            "description": "Unique path in the container.",
            "pattern": r"^[^:\x00-\x1f]+$",
            "maxLength": 4096,
        }
    },
}
BY_NAME: dict[str, Any] = {LIST_TYPE: "map", MERGED_BY: ["name"]}
BY_MOUNT_PATH: dict[str, Any] = {LIST_TYPE: "map", MERGED_BY: ["mountPath"]}
DISTINCT: dict[str, Any] = {LIST_TYPE: "set"}
NamedParts = Annotated[
    tuple[Annotated[dict[str, Any], WithJsonSchema(NAMED)], ...],
    Field(max_length=64, json_schema_extra=BY_NAME),
]
Variables = Annotated[
    tuple[Annotated[dict[str, Any], WithJsonSchema(VARIABLE)], ...],
    Field(max_length=256, json_schema_extra=BY_NAME),
]
Mounts = Annotated[
    tuple[Annotated[dict[str, Any], WithJsonSchema(MOUNT)], ...],
    Field(max_length=64, json_schema_extra=BY_MOUNT_PATH),
]


class LocalReference(Model):
    """A reference to an object in the service's namespace."""

    name: ObjectName = Field(description="Name of the object.", examples=["registry-login"])


class SecretValue(Model):
    """One value in a Secret of the service's namespace. The operator never copies it."""

    name: ObjectName = Field(description="Name of the Secret.", examples=["shop-redis"])
    key: SecretKey | None = Field(
        default=None,
        description="Key in the Secret. Default: ca.crt for a certificate, dsn for Sentry, headers "
        "for trace headers, agent-url for Datadog, license-key for New Relic.",
        examples=["ca.crt"],
    )
