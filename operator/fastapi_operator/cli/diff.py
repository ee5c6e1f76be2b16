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
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.projection import APPLIED_ANNOTATION
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from fastapi_operator.reconcile.plan.owned_object import OwnedObject, complete_body, make_owned
from fastapi_operator.resources.desired import ObjectKey, Write
from fastapi_operator.settings import Settings

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
    a ConfigMap; their source is printed on standard error.

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
    state = build_desired_state(body, settings, facts)
    if state.error is not None:
        console.print_problems(name, state.problems)
        raise typer.Exit(2)
    restart = (metadata.get("annotations") or {}).get(naming.RESTART_ANNOTATION, "")
    owned = [
        make_owned(desired, owner, restart=restart)
        for desired in state.objects
        if not _has_run(desired.key, state.migration_key, live)
    ]
    lines: list[str] = []
    for item in owned:
        lines += await _diff_object(cluster, item, live.get(item.key))
    desired_keys = {item.key for item in owned}
    for key, found in live.items():
        if key not in desired_keys and _would_be_deleted(key, found, owner):
            lines += _unified_diff(key, found, None)
    return lines


def _has_run(key: ObjectKey, request: str | None, live: Live) -> bool:
    """Whether a migration has a Job already; its name depends on the database as well."""
    return key.kind == JOB.kind and any(
        Attempt.of(body).request == request
        for other, body in live.items()
        if other.kind == JOB.kind
    )


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
    """Returns whether the operator would delete it: an owned object that is not a record."""
    references = live["metadata"].get("ownerReferences") or ()
    owned = any(item.get("uid") == owner.uid for item in references)
    return owned and key.kind not in (CONTROLLER_REVISION.kind, JOB.kind)


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
