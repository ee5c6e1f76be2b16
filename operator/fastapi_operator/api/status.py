"""``status``: what the operator answers; at most 8 KiB.

This is the one place that shortens: each text and list to its own bound when a section is made,
and the whole when it becomes a body.
"""

import json
from typing import Annotated, Any, Literal

from annotated_types import MaxLen
from pydantic import Field, WithJsonSchema, model_validator

from fastapi_operator.api.model import Model

MAX_BYTES = 8 * 1024
# How long messages may be where all of them would not fit: a thought, a sentence, its beginning.
_SHORTER = (300, 120, 60, 16)
# What people miss least comes first: explain shows every decision, validate every problem.
MOST_PENDING = 16
_DISPENSABLE = ("tuning", "pending", "problems")

ScalarValue = Annotated[
    int | str | bool,
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
    ),
]


class Answer(Model):
    """A section of the status, whose texts and lists are cut to their bounds."""

    @model_validator(mode="before")
    @classmethod
    def _cut(cls, values: dict[str, Any]) -> dict[str, Any]:
        longest = {
            name: bound.max_length
            for name, field in cls.model_fields.items()
            for bound in field.metadata
            if isinstance(bound, MaxLen)
        }
        return {
            name: _cut(value, longest[name]) if name in longest else value
            for name, value in values.items()
        }


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str) and len(value) > longest:
        return value[: longest - 1] + "…"
    return value[:longest] if isinstance(value, tuple) else value


class Condition(Answer):
    """One aspect of the service's state, after the Kubernetes API conventions."""

    type: str = Field(description="The aspect, such as Ready or DatabaseReady.", max_length=63)
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(description="Why, as one CamelCase word.", max_length=128)
    message: str = Field(description="Why, for people.", max_length=1024)
    observed_generation: int = Field(description="The generation of the spec that was judged.")
    last_transition_time: str = Field(
        description="When status last changed, RFC 3339.",
        max_length=32,
        json_schema_extra={"format": "date-time"},
    )


class TunedValue(Answer):
    """A headline decision of the tuning engine."""

    name: str = Field(description="Path of the decision, such as server.workers.", max_length=63)
    value: ScalarValue = Field(description="The value in force.")
    reason: str = Field(description="Why it has this value.", max_length=300)
    source: Literal["spec", "profile", "derived"] = Field(description="Who decided.")


class BudgetStatus(Answer):
    """The connection budget from the app's processes to the database."""

    processes: int = Field(description="Processes at peak, rollout surge included.")
    demand: int = Field(description="Connections that all processes may ask for.")
    pooler_clients: int | None = Field(
        default=None, description="Client connections that all poolers accept."
    )
    pooler_servers: int | None = Field(
        default=None,
        description="Server connections of all poolers, and of as many that are being replaced.",
    )
    max_connections: int = Field(description="Connections that the database accepts.")
    reserved: int = Field(description="Connections kept for administration and migrations.")


class StatusProblem(Answer):
    """A problem of the service as it was found."""

    severity: Literal["error", "warning"] = Field(description="Whether it stops the service.")
    path: str = Field(description="The field, as it is written in the service.", max_length=256)
    message: str = Field(description="What is wrong, and what to do.", max_length=512)


class Pending(Answer):
    """A change that waits for its moment."""

    name: str = Field(description="What would change.", max_length=128)
    reason: str = Field(description="What it waits for.", max_length=512)


class MigrationStatus(Answer):
    """Where the database's schema stands."""

    key: str = Field(description="Key of the wanted migration.", max_length=63)
    state: Literal["Waiting", "Running", "Succeeded", "Failed"] = Field(
        description="How far it is."
    )


class Status(Answer):
    """The operator's answer to a spec."""

    observed_generation: int = Field(
        description="The generation of the spec that was last acted on."
    )
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32)] = Field(
        default=(),
        description="Ready, Reconciling and Stalled (kstatus), and one condition a part.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    tuning: Annotated[tuple[TunedValue, ...], Field(max_length=24)] = Field(
        default=(), description="The headline decisions with their reasons."
    )
    connection_budget: BudgetStatus | None = Field(
        default=None, description="Connections from the app to the database."
    )
    problems: Annotated[tuple[StatusProblem, ...], Field(max_length=16)] = Field(
        default=(), description="What is wrong with the spec, errors first."
    )
    pending: Annotated[tuple[Pending, ...], Field(max_length=MOST_PENDING)] = Field(
        default=(), description="Changes that wait for their moment, and one that has it."
    )
    url: str | None = Field(default=None, description="Where the service answers.", max_length=300)
    replicas: int | None = Field(default=None, description="App pods at present.")
    selector: str | None = Field(
        default=None, description="Label selector of the app's pods.", max_length=300
    )
    image_digest: str | None = Field(
        default=None, description="Digest of the image that ready pods run.", max_length=200
    )
    migration: MigrationStatus | None = Field(
        default=None, description="The wanted migration and how far it is."
    )

    def to_body(self) -> dict[str, Any]:
        """The status as the API server stores it: absent fields left out, at most 8 KiB."""
        body = self.model_dump(by_alias=True, exclude_none=True, mode="json")
        body = {name: value for name, value in body.items() if value != []}
        for longest in _SHORTER:
            if _size(body) <= MAX_BYTES:
                return body
            body = _with_shorter_messages(body, longest)
        for name in _DISPENSABLE:
            while _size(body) > MAX_BYTES and body.get(name):
                body[name].pop()
        return body


def _with_shorter_messages(value: Any, longest: int) -> Any:
    if isinstance(value, list):
        return [_with_shorter_messages(item, longest) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _cut(item, longest)
        if name in ("message", "reason", "path")
        else _with_shorter_messages(item, longest)
        for name, item in value.items()
    }


def _size(body: dict[str, Any]) -> int:
    """Bytes of a body as it travels."""
    return len(json.dumps(body, ensure_ascii=False).encode())
