"""``status``: the observed state of a service, at most 8 KiB.

Only this module shortens the status: each text and list to its own bound when a section is built,
and the whole status when it becomes a body.
"""

import json
from typing import Annotated, Any, Literal

from annotated_types import MaxLen
from pydantic import Field, WithJsonSchema, model_validator

from fastapi_operator.api.model import Model

MAX_BYTES = 8 * 1024
MOST_PENDING = 16
# The numbers that a measurement can change.
MOST_RECOMMENDATIONS = 8
RECOMMENDATIONS_MAX_BYTES = 1536
# The newest trials of numbers; the ConfigMap of automatic tuning has more.
MOST_TRIALS = 3
# Conditions that summarise the service; their messages are cut last.
_SUMMARY = ("Ready", "Reconciling", "Stalled")
# Lengths to which messages are cut, one after another, until the status fits. Every message begins
# with its cause.
_MESSAGE_LENGTHS = (600, 300, 120, 60, 16)

ScalarValue = Annotated[
    int | str | bool,
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
    ),
]


class StatusSection(Model):
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


class Condition(StatusSection):
    """One aspect of the service's state, as in the Kubernetes API conventions."""

    type: str = Field(
        description="Type of the condition, for example Ready or DatabaseReady.", max_length=63
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    reason: str = Field(description="Reason as one CamelCase word.", max_length=128)
    message: str = Field(description="Reason in a sentence, with the remedy.", max_length=1024)
    observed_generation: int = Field(
        description="Generation of the spec for which the condition was set."
    )
    last_transition_time: str = Field(
        description="Time of the last change of the status, RFC 3339.",
        max_length=32,
        json_schema_extra={"format": "date-time"},
    )


class TunedValue(StatusSection):
    """A headline decision of the plan."""

    name: str = Field(
        description="Name of the decision, for example server.workers.", max_length=63
    )
    value: ScalarValue = Field(description="Value of the decision.")
    reason: str = Field(description="Reason for the value.", max_length=300)
    source: Literal["spec", "profile", "tuned", "derived"] = Field(
        description="Origin of the value."
    )


class BudgetStatus(StatusSection):
    """The connection budget between the app's processes and the database."""

    processes: int = Field(description="Number of processes at peak, including the rollout surge.")
    demand: int = Field(description="Connections that all processes may open.")
    pooler_clients: int | None = Field(
        default=None, description="Client connections that all poolers accept."
    )
    pooler_servers: int | None = Field(
        default=None,
        description="Server connections of all poolers, including those that a rollout replaces.",
    )
    max_connections: int = Field(description="Connections that the database accepts.")
    reserved: int = Field(description="Connections kept for administration and migrations.")
    direct: int | None = Field(
        default=None, description="Connections of processes that bypass the pooler."
    )


class StatusProblem(StatusSection):
    """A problem of the service."""

    severity: Literal["error", "warning"] = Field(
        description="Severity. An error stops the rollout of the spec."
    )
    path: str = Field(description="Path of the field in the service.", max_length=256)
    message: str = Field(description="The problem and its remedy.", max_length=512)


class Pending(StatusSection):
    """A change that waits."""

    name: str = Field(
        description="Name of the object or setting that would change.", max_length=128
    )
    reason: str = Field(description="Reason for waiting.", max_length=512)


MigrationState = Literal["Waiting", "Running", "Succeeded", "Failed"]


class MigrationStatus(StatusSection):
    """State of the database migration."""

    key: str = Field(description="Key of the desired migration.", max_length=63)
    state: MigrationState = Field(description="State of the migration.")
    revision: str | None = Field(
        default=None,
        description="Revision of Alembic that the last migration left in the database. Several "
        "heads are separated by commas. Absent without a table alembic_version, and while a "
        "migration runs.",
        max_length=128,
    )
    database: str | None = Field(
        default=None,
        description="Keyed hash of the database, which changes if the database is another one.",
        max_length=63,
    )


class PreflightStatus(StatusSection):
    """Result of the last preflight of an image."""

    key: str = Field(description="Key of the image, the app and the command.", max_length=63)
    job_uid: str = Field(description="UID of the Job that checked it.", max_length=63)
    outcome: Literal["Passed", "Failed", "Unknown"] = Field(
        description="Whether the app can be imported. Unknown does not stop the rollout."
    )
    reason: str | None = Field(
        default=None, description="Kind of the fault as one CamelCase word.", max_length=32
    )
    message: str | None = Field(
        default=None, description="The fault with file, line and remedy.", max_length=300
    )
    digest: str | None = Field(default=None, description="Digest of the image.", max_length=80)
    python: str | None = Field(default=None, description="Version of Python.", max_length=24)
    server: str | None = Field(
        default=None, description="ASGI server and its version.", max_length=40
    )
    fastapi: str | None = Field(default=None, description="Version of FastAPI.", max_length=24)
    pydantic: str | None = Field(default=None, description="Version of pydantic.", max_length=24)
    uvloop: bool | None = Field(default=None, description="Whether the image has uvloop.")
    gil: bool | None = Field(
        default=None, description="Whether Python runs with its global interpreter lock."
    )
    import_milliseconds: int | None = Field(
        default=None, description="Time that the import of the app took."
    )
    memory_bytes: int | None = Field(
        default=None, description="Resident memory of one process after the import."
    )
    routes: int | None = Field(default=None, description="Operations of the OpenAPI document.")
    openapi: str | None = Field(
        default=None, description="Hash of the OpenAPI document.", max_length=16
    )


class VersionFigures(StatusSection):
    """The figures of one version since the canary began."""

    requests: int = Field(description="Requests that were assigned to it.")
    errors: int = Field(description="Those of them with a status of 500 or above.")
    p95_milliseconds: int | None = Field(
        default=None, description="95th percentile of their durations."
    )


class CanaryStatus(StatusSection):
    """State of the new version that gets a share of the requests."""

    id: str = Field(description="Identity of this canary, for requests about it.", max_length=16)
    image: str = Field(description="Image of the new version.", max_length=120)
    phase: Literal["Starting", "Progressing", "Holding", "Promoting", "Ending", "Aborted"] = Field(
        description="State of the canary."
    )
    step: int = Field(description="Number of its step, from 1; 0 before the first.")
    steps: int = Field(description="Number of all steps.")
    percent: int = Field(description="Share of the requests that it gets, in percent.")
    since: str = Field(
        description="When the phase or the step began, RFC 3339.",
        max_length=32,
        json_schema_extra={"format": "date-time"},
    )
    canary: VersionFigures | None = Field(
        default=None, description="Figures of the new version; absent before the first look."
    )
    stable: VersionFigures | None = Field(
        default=None, description="Figures of the released version in the same time."
    )
    verdict: str | None = Field(
        default=None, description="The judge's reason with figures.", max_length=160
    )
    next: str = Field(description="The next step, and its precondition.", max_length=100)
    trial: str | None = Field(
        default=None,
        description="The numbers that it tries in the released version; absent for another one.",
        max_length=78,
    )


class RecommendationStatus(StatusSection):
    """A number that would be better according to the measurements of the service."""

    number: str = Field(description="Name of the number, as in explain.", max_length=63)
    now: str = Field(description="Its present value.", max_length=40)
    better: str = Field(description="The recommended value.", max_length=40)
    evidence: str = Field(
        description="The measured figures, with their requests and the time of observation.",
        max_length=240,
    )
    confidence: Literal["Medium", "High"] = Field(
        description="High after a week with ten times the requests that are needed."
    )
    latency: str = Field(description="Expected effect on response times.", max_length=100)
    cpu_millicores: int = Field(
        description="Change of the CPU that the pods request at the minimum, in thousandths."
    )
    memory_bytes: int = Field(
        description="Change of the memory that the pods request at the minimum."
    )
    disruption: str = Field(
        description="Effect of the change on the running service.", max_length=20
    )


class TrialStatus(StatusSection):
    """A trial of better numbers that has ended."""

    ended: str = Field(
        description="When it ended, RFC 3339.",
        max_length=32,
        json_schema_extra={"format": "date-time"},
    )
    numbers: str = Field(description="The numbers, before and after.", max_length=200)
    evidence: str = Field(description="The measured figure from which they follow.", max_length=120)
    verdict: Literal["Accepted", "Rejected", "Ended"] = Field(
        description="Ended is neither, for example because the spec changed, no node had room, or "
        "too few requests came."
    )
    reason: str = Field(description="Why, with the figures of the comparison.", max_length=200)


class LeakStatus(StatusSection):
    """A pod whose memory grows to its limit, and what was done about it."""

    pod: str = Field(description="Name of the pod.", max_length=253)
    state: Literal["Growing", "Raised", "Replacing", "Replaced", "Blocked"] = Field(
        description="Growing: it is only reported. Raised: its memory limit was raised while it "
        "runs. Replacing: it is evicted as soon as all other pods are ready. Replaced: it was "
        "evicted. Blocked: neither is possible."
    )
    bytes_per_hour: int | None = Field(
        default=None, description="Growth of its memory; absent if it is full and does not grow."
    )
    bytes_per_request: int | None = Field(
        default=None, description="Growth of its memory for each request."
    )
    message: str = Field(description="The growth, and what was done.", max_length=400)
    at: str = Field(
        description="When this state began, RFC 3339.",
        max_length=32,
        json_schema_extra={"format": "date-time"},
    )


class EntryStatus(StatusSection):
    """The address of a further entry."""

    name: str = Field(description="Name of the entry.", max_length=20)
    url: str = Field(description="URL of the entry.", max_length=300)


class Status(StatusSection):
    """The observed state of a service."""

    observed_generation: int = Field(description="Generation of the spec that was last reconciled.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32)] = Field(
        default=(),
        description="Ready, Reconciling and Stalled (kstatus), Overloaded, and one condition for "
        "each part.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    tuning: Annotated[tuple[TunedValue, ...], Field(max_length=24)] = Field(
        default=(), description="Headline decisions with their reasons."
    )
    connection_budget: BudgetStatus | None = Field(
        default=None, description="Connections from the app to the database."
    )
    problems: Annotated[tuple[StatusProblem, ...], Field(max_length=16)] = Field(
        default=(), description="Problems of the spec, errors first."
    )
    pending: Annotated[tuple[Pending, ...], Field(max_length=MOST_PENDING)] = Field(
        default=(), description="Changes that wait, or that are in progress."
    )
    url: str | None = Field(default=None, description="URL of the service.", max_length=300)
    entries: Annotated[tuple[EntryStatus, ...], Field(max_length=4)] = Field(
        default=(), description="URLs of the further entries."
    )
    replicas: int | None = Field(default=None, description="Number of app pods.")
    selector: str | None = Field(
        default=None, description="Label selector of the app's pods.", max_length=300
    )
    image_digest: str | None = Field(
        default=None, description="Digest of the image in the ready pods.", max_length=200
    )
    migration: MigrationStatus | None = Field(
        default=None, description="State of the database migration."
    )
    preflight: PreflightStatus | None = Field(
        default=None, description="Result of the last preflight; absent without one."
    )
    canary: CanaryStatus | None = Field(
        default=None, description="State of the canary; absent without one."
    )
    recommendations: Annotated[
        tuple[RecommendationStatus, ...], Field(max_length=MOST_RECOMMENDATIONS)
    ] = Field(
        default=(),
        description="Numbers that would be better according to the measurements of the service.",
    )
    trials: Annotated[tuple[TrialStatus, ...], Field(max_length=MOST_TRIALS)] = Field(
        default=(),
        description="Better numbers that were tried, the newest first (tuning.mode Automatic).",
    )
    leak: LeakStatus | None = Field(
        default=None,
        description="The last pod whose memory grew to its limit; absent without one in the last "
        "six hours, and without tuning.leakGuard.",
    )
    settings: str | None = Field(
        default=None,
        description="ConfigMap with the settings of the operator, as namespace/name. Commands about"
        " the service use them.",
        max_length=317,
    )

    def to_body(self) -> dict[str, Any]:
        """Returns the status as the API server stores it: at most 8 KiB, without absent fields."""
        body = self.model_dump(by_alias=True, exclude_none=True, mode="json")
        body = {name: value for name, value in body.items() if value != []}
        # The least important first: explain shows every decision, recommend every recommendation,
        # and validate every problem.
        _drop(body, "tuning", keep=0)
        recommendations = body.get("recommendations", [])
        while recommendations and _size(recommendations) > RECOMMENDATIONS_MAX_BYTES:
            recommendations.pop()
        _drop(body, "recommendations", keep=0)
        _drop(body, "trials", keep=0)
        _drop(body, "problems", keep=_errors(body))
        _drop(body, "pending", keep=4)
        for longest in _MESSAGE_LENGTHS:
            _shorten_messages(body, longest, summary=False)
        _drop(body, "problems", keep=1)
        for longest in _MESSAGE_LENGTHS:
            _shorten_messages(body, longest, summary=True)
        for name in ("pending", "problems"):
            _drop(body, name, keep=0)
        return body


def _errors(body: dict[str, Any]) -> int:
    return sum(problem["severity"] == "error" for problem in body.get("problems", ()))


def _drop(body: dict[str, Any], name: str, *, keep: int) -> None:
    """Removes items from the end of a list until the status fits or so many are left."""
    items = body.get(name, [])
    while _size(body) > MAX_BYTES and len(items) > keep:
        items.pop()
    if not items:
        body.pop(name, None)


def _shorten_messages(body: dict[str, Any], longest: int, *, summary: bool) -> None:
    """Cuts the texts of conditions, problems and changes, unless the status fits."""
    if _size(body) <= MAX_BYTES:
        return
    for item in (
        *(item for item in body.get("conditions", ()) if summary or item["type"] not in _SUMMARY),
        *body.get("problems", ()),
        *body.get("pending", ()),
    ):
        for name in ("message", "reason", "path"):
            if name in item:
                item[name] = _cut(item[name], longest)


def _size(body: Any) -> int:
    """Returns the size of a body as JSON, in bytes."""
    return len(json.dumps(body, ensure_ascii=False).encode())
