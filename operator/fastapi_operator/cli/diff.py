"""``diff``: the changes that the operator would make, computed with the API server's dry run."""

import difflib
from collections.abc import Mapping
from typing import Any

import typer
import yaml

from fastapi_operator import naming
from fastapi_operator.api.parse import parse_service
from fastapi_operator.cli import console, inputs, operator_settings
from fastapi_operator.cli.connect import Cluster, run_with_cluster
from fastapi_operator.cli.live import discover_facts
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import (
    CONTROLLER_REVISION,
    JOB,
    SECRET,
    SERVICE,
    Kind,
    owned_kind,
)
from fastapi_operator.reconcile.observe import reading
from fastapi_operator.reconcile.observe.attempt import Attempt
from fastapi_operator.reconcile.observe.canary_record import (
    CanaryRecord,
    belongs_to_canary,
    record_key,
)
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import ReleaseRecord
from fastapi_operator.reconcile.observe.preflight_pods import is_preflight
from fastapi_operator.reconcile.observe.preflight_report import PreflightReport
from fastapi_operator.reconcile.observe.projection import APPLIED_ANNOTATION
from fastapi_operator.reconcile.observe.tuning_record import TuningRecord
from fastapi_operator.reconcile.observe.tuning_record import record_key as tuning_record_key
from fastapi_operator.reconcile.plan.canary_course import find_obstacle
from fastapi_operator.reconcile.plan.canary_situation import (
    Requests,
    Situation,
    hash_spec,
    is_of,
)
from fastapi_operator.reconcile.plan.canary_stage import stage_of
from fastapi_operator.reconcile.plan.canary_target import hash_template
from fastapi_operator.reconcile.plan.desired_state import DesiredState, build_desired_state
from fastapi_operator.reconcile.plan.owned_object import OwnedObject, complete_body, make_owned
from fastapi_operator.reconcile.plan.preflights import is_image_released
from fastapi_operator.reconcile.plan.release import records_of
from fastapi_operator.reconcile.plan.steps import record_keys
from fastapi_operator.resources.desired import ObjectKey, Write
from fastapi_operator.resources.preflight import request_of
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.measurements import NOT_MEASURED

# For a service that does not exist yet: the API server requires a uid in an owner reference.
_NO_UID = "00000000-0000-0000-0000-000000000000"
# Metadata that the API server maintains, and owner references.
_SERVER_METADATA = (
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "ownerReferences",
)

Live = Mapping[ObjectKey, Mapping[str, Any]]


def diff(  # noqa: PLR0917 (typer reads them as options)
    name: inputs.LiveNameArgument = None,
    file: inputs.LiveFileOption = None,
    settings: inputs.SettingsOption = None,
    profiles: inputs.ProfilesOption = None,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Show what the operator would change in the cluster.

    The API server makes a dry run of each write, so its defaults do not appear as differences.
    Values of Secrets are never shown. The settings are those of the operator, which it publishes in
    a ConfigMap; their source is printed on standard error, and so is whether a canary would start.

    Examples:
      fastapi-operator diff shop
      fastapi-operator diff -f service.yaml -n production

    Exit status:
      0  no differences
      1  differences found
      2  the service is invalid or missing, or settings or cluster cannot be read
    """
    inputs.require_one_source(name, file)

    async def work(cluster: Cluster) -> list[str]:
        bodies = inputs.read_bodies(file) if file else (await cluster.read_service(str(name)),)
        lines = []
        for body in bodies:
            metadata = body["metadata"]
            target = Cluster(cluster.client, metadata.get("namespace") or cluster.namespace)
            stored = await target.client.get(SERVICE, target.namespace, metadata["name"])
            used = await operator_settings.read(target, stored, file=settings, profiles=profiles)
            lines += await _diff_service(target, body, stored, used.settings)
        return lines

    lines = run_with_cluster(
        work,
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
        manager=naming.FIELD_MANAGER,
    )
    for line in lines:
        console.print_line(line, _style(line))
    if lines:
        raise typer.Exit(1)


async def _diff_service(
    cluster: Cluster,
    given: Mapping[str, Any],
    stored: Mapping[str, Any] | None,
    settings: Settings,
) -> list[str]:
    metadata = {"namespace": cluster.namespace, **given["metadata"]}
    name, namespace = metadata["name"], metadata["namespace"]
    body = {"spec": {}, **given, "metadata": metadata}
    service, problems = parse_service(body)
    console.print_problems(name, problems)
    if service is None:
        raise typer.Exit(2)
    facts = await discover_facts(cluster)
    owner = Owner(namespace, name, stored["metadata"]["uid"] if stored else _NO_UID)
    live = {
        reading.object_key(kind, found): found
        for kind, found in await cluster.read_children(name, facts)
    }
    tuning = TuningRecord.of(live.get(tuning_record_key(owner)) or {})
    accepted = tuning.measurements if tuning is not None else NOT_MEASURED
    state = build_desired_state(body, settings, facts, accepted=accepted)
    if state.error is not None:
        console.print_problems(name, state.problems)
        raise typer.Exit(2)
    newest = _newest_release(live, owner)
    if newest is not None and state.course is not None:
        old = {**body, "spec": newest.spec}
        released = build_desired_state(old, settings, facts, accepted=accepted)
        situation = _situation(body, owner, state, newest, released)
        record = CanaryRecord.of(live.get(record_key(owner)) or {})
        if record is not None and is_of(record, situation):
            stage = stage_of(record, state.course, settled=True)
            state = build_desired_state(body, settings, facts, stage, accepted)
        else:
            _print_canary(name, situation)
    restart = (metadata.get("annotations") or {}).get(naming.RESTART_ANNOTATION, "")
    owned = [
        make_owned(desired, owner, restart=restart)
        for desired in state.objects
        if not _has_run(desired.key, state.migration_key, live)
        and not (is_preflight(desired) and _is_accepted(body["spec"], stored, newest))
    ]
    lines: list[str] = []
    for item in owned:
        lines += await _diff_object(cluster, item, live.get(item.key))
    desired_keys = {item.key for item in owned}
    for key, found in live.items():
        if key not in desired_keys and _would_be_deleted(key, found, owner):
            lines += _unified_diff(key, found, None)
    return lines


def _newest_release(live: Live, owner: Owner) -> ReleaseRecord | None:
    bodies = (body for key, body in live.items() if key.kind == CONTROLLER_REVISION.kind)
    return next(reversed(records_of(bodies, owner)), None)


def _situation(
    body: Mapping[str, Any],
    owner: Owner,
    state: DesiredState,
    newest: ReleaseRecord,
    released: DesiredState,
) -> Situation:
    return Situation(
        template=_hash_template(state, owner),
        released=_hash_template(released, owner),
        spec=hash_spec(body["spec"]),
        revision=newest.revision,
        image=str(body["spec"].get("image", "")),
        course=state.course,
        obstacle=find_obstacle(state.course, released.course),
        requests=Requests.of(body["metadata"].get("annotations") or {}),
    )


def _print_canary(name: str, situation: Situation) -> None:
    """Prints to standard error whether the spec would start a canary, or why it would not."""
    text, course = situation.skipped, situation.course
    if situation.needs_canary and course is not None:
        text = (
            f"{situation.image} starts as a canary with {course.share(1)} % of the requests; the "
            "app's Deployment changes when it is promoted"
        )
    if text:
        console.print_note(name, text)


def _hash_template(state: DesiredState, owner: Owner) -> str | None:
    return hash_template(make_owned(desired, owner) for desired in state.objects)


def _has_run(key: ObjectKey, request: str | None, live: Live) -> bool:
    """Whether a migration has a Job already; its name depends on the database as well."""
    return key.kind == JOB.kind and any(
        Attempt.of(body).request == request
        for other, body in live.items()
        if other.kind == JOB.kind
    )


def _is_accepted(
    spec: Mapping[str, Any], stored: Mapping[str, Any] | None, newest: ReleaseRecord | None
) -> bool:
    """Whether the image of a spec needs no preflight: it is released, or was checked."""
    request = request_of(spec)
    report = PreflightReport.of_status(((stored or {}).get("status") or {}).get("preflight") or {})
    is_checked = report is not None and report.accepts(request)
    return is_checked or is_image_released(request, newest)


async def _diff_object(
    cluster: Cluster, item: OwnedObject, live: Mapping[str, Any] | None
) -> list[str]:
    kind = owned_kind(item.key.group, item.key.kind)
    if item.desired.write is Write.CREATE_ONCE and live is not None:
        return []
    try:
        result = await cluster.client.apply(
            kind,
            complete_body(item, _child(kind, item.key, live), {}),
            only_create=live is None,
            rehearse=True,
        )
    except ApiError as error:
        inputs.fail(f"{item.key}: the API server would reject it: {error}")
    return _unified_diff(item.key, live, result)


def _child(kind: Kind, key: ObjectKey, live: Mapping[str, Any] | None) -> Any:
    if live is None:
        return None
    return reading.child_of(kind, key, live, known=None, version=0, written=False)


def _would_be_deleted(key: ObjectKey, live: Mapping[str, Any], owner: Owner) -> bool:
    """Whether the operator would delete it: an owned object, neither a record nor of a canary."""
    if key in record_keys(owner) or belongs_to_canary(owner, key):
        return False
    return _is_owned(live, owner) and key.kind not in (CONTROLLER_REVISION.kind, JOB.kind)


def _is_owned(live: Mapping[str, Any], owner: Owner) -> bool:
    references = live["metadata"].get("ownerReferences") or ()
    return any(item.get("uid") == owner.uid for item in references)


def _unified_diff(
    key: ObjectKey, live: Mapping[str, Any] | None, desired: Mapping[str, Any] | None
) -> list[str]:
    if key.kind == SECRET.kind:
        live, desired = _mask(live, desired), _mask(desired, live)
    before, after = _to_yaml(live), _to_yaml(desired)
    label = f"{key.kind}/{key.name}"
    return list(
        difflib.unified_diff(
            before,
            after,
            f"{label} live" if live is not None else "/dev/null",
            f"{label} desired" if desired is not None else "/dev/null",
            lineterm="",
        )
    )


def _to_yaml(body: Mapping[str, Any] | None) -> list[str]:
    """Returns an object as lines of YAML, without the metadata that the API server maintains."""
    if body is None:
        return []
    metadata = {name: v for name, v in body["metadata"].items() if name not in _SERVER_METADATA}
    annotations = dict(metadata.pop("annotations", None) or {})
    annotations.pop(APPLIED_ANNOTATION, None)
    if annotations:
        metadata["annotations"] = annotations
    kept = {name: v for name, v in body.items() if name not in ("apiVersion", "kind", "status")}
    kept["metadata"] = metadata
    return yaml.safe_dump(kept, sort_keys=True, width=1000, allow_unicode=True).splitlines()


def _mask(
    body: Mapping[str, Any] | None, other: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Replaces a Secret's values; a mark remains if a value differs from the other Secret's."""
    if body is None or "data" not in body:
        return body
    known = (other or {}).get("data") or {}
    masked = {
        key: "***" if known.get(key, value) == value else "*** (different value)"
        for key, value in body["data"].items()
    }
    return {**body, "data": masked}


def _style(line: str) -> console.Style:
    if line.startswith(("---", "+++")):
        return console.BOLD
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return {"fg": colour} if colour else console.PLAIN
