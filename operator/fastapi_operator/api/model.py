"""The base of every section of ``spec`` and the field types that they share.

Models are strict (no coercion), frozen, and refuse unknown fields. No field has a default other
than None: absent means "derive", so that the operator can tell what the user said.
"""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

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


def _check_quantity(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError(f'{value} is a bare decimal number; quote it: "{value}"')
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a quantity such as 500m, 2, 256Mi or 10Gi")
    quantity.parse_quantity(value)
    return value


Quantity = Annotated[
    str | int,
    BeforeValidator(_check_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": quantity.PATTERN,
            "maxLength": 32,
            "x-kubernetes-int-or-string": True,
        }
    ),
]

# A path of a route: no character that could end a directive in nginx.conf.
UrlPath = Annotated[
    str, StringConstraints(pattern=r"^/[A-Za-z0-9._~/-]*$", min_length=1, max_length=256)
]
# An argument of a command: any text but control characters.
Argument = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]*$", max_length=1024)]
Arguments = Annotated[tuple[Argument, ...], Field(min_length=1, max_length=64)]
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
# A piece of a pod that stays open here; the API server checks it when the child is applied.
PodPart = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
