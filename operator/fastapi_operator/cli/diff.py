"""``diff``: what the operator would change, asked of the API server itself."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

import typer
import yaml

from fastapi_operator import naming
from fastapi_operator.api.parse import parse_service
from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.connected import Cluster, connected
from fastapi_operator.cluster import discovery
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
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.projection import APPLIED_ANNOTATION
from fastapi_operator.reconcile.plan.desired_state import draw
from fastapi_operator.reconcile.plan.owned_object import Sealed, completed, seal
from fastapi_operator.resources.desired import ObjectKey, Write
from fastapi_operator.settings import Settings

# Of a service that is not there yet: the API server wants a uid in an owner reference.
_NO_UID = "00000000-0000-0000-0000-000000000000"
# What the API server keeps for itself, and who owns what.
_BOOKKEEPING = (
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
    """Show what the operator would change, object by object; exit 1 where that is anything.

    The API server answers a dry run of each write, so that its defaults are no differences.
    Values of Secrets are never shown.
    """
    inputs.need_one_source(name, file)
    ours = inputs.read_settings(settings, profiles)

    async def work(cluster: Cluster) -> list[str]:
        bodies = inputs.read_bodies(file) if file else (await cluster.service(str(name)),)
        return [line for body in bodies for line in await _changes(cluster, body, ours)]

    lines = connected(
        work,
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
        manager=naming.FIELD_MANAGER,
    )
    for line in lines:
        console.say(line, _style(line))
    if lines:
        raise typer.Exit(1)


async def _changes(cluster: Cluster, given: Mapping[str, Any], settings: Settings) -> list[str]:
    metadata = {"namespace": cluster.namespace, **given["metadata"]}
    body = {"spec": {}, **given, "metadata": metadata}
    service, problems = parse_service(body)
    console.problems(metadata["name"], problems)
    if service is None:
        raise typer.Exit(2)
    where = Cluster(cluster.client, metadata["namespace"])
    offered = await discovery.discover(where.client)
    labelled = await discovery.profiles(where.client, (where.namespace,))
    facts = dataclasses.replace(offered, profiles=labelled)
    there = await where.client.get(SERVICE, where.namespace, metadata["name"])
    uid = there["metadata"]["uid"] if there else _NO_UID
    owner = Owner(where.namespace, metadata["name"], uid)
    live = {
        reading.object_key(kind, found): found
        for kind, found in await where.children(metadata["name"], facts)
    }
    blueprint = draw(body, settings, facts)
    if blueprint.error is not None:
        console.problems(metadata["name"], blueprint.problems)
        raise typer.Exit(2)
    restart = (metadata.get("annotations") or {}).get(naming.RESTART_ANNOTATION, "")
    sealed = [seal(desired, owner, restart=restart) for desired in blueprint.desired]
    lines: list[str] = []
    for item in sealed:
        lines += await _change(where, item, live.get(item.key))
    wanted = {item.key for item in sealed}
    for key, found in live.items():
        if key not in wanted and _would_go(key, found, owner):
            lines += _unified(key, found, None)
    return lines


async def _change(cluster: Cluster, item: Sealed, live: Mapping[str, Any] | None) -> list[str]:
    kind = owned_kind(item.key.group, item.key.kind)
    if item.desired.write is Write.CREATE_ONCE and live is not None:
        return []
    try:
        then = await cluster.client.apply(
            kind,
            completed(item, _child(kind, item.key, live), {}),
            only_create=live is None,
            rehearse=True,
        )
    except ApiError as error:
        inputs.stop(f"{item.key}: the API server would refuse it: {error}")
    return _unified(item.key, live, then)


def _child(kind: Kind, key: ObjectKey, live: Mapping[str, Any] | None) -> Any:
    if live is None:
        return None
    return reading.child_of(kind, key, live, known=None, version=0, written=False)


def _would_go(key: ObjectKey, live: Mapping[str, Any], owner: Owner) -> bool:
    """Whether the operator would remove it: its own, and no part of the service's history."""
    references = live["metadata"].get("ownerReferences") or ()
    mine = any(item.get("uid") == owner.uid for item in references)
    return mine and key.kind not in (CONTROLLER_REVISION.kind, JOB.kind)


def _unified(
    key: ObjectKey, live: Mapping[str, Any] | None, then: Mapping[str, Any] | None
) -> list[str]:
    if key.kind == SECRET.kind:
        live, then = _masked(live, then), _masked(then, live)
    before, after = _text(live), _text(then)
    label = f"{key.kind}/{key.name}"
    return list(
        difflib.unified_diff(
            before,
            after,
            f"{label} live" if live is not None else "/dev/null",
            f"{label} wanted" if then is not None else "/dev/null",
            lineterm="",
        )
    )


def _text(body: Mapping[str, Any] | None) -> list[str]:
    """An object as YAML, without what the API server keeps for itself."""
    if body is None:
        return []
    metadata = {name: v for name, v in body["metadata"].items() if name not in _BOOKKEEPING}
    annotations = dict(metadata.pop("annotations", None) or {})
    annotations.pop(APPLIED_ANNOTATION, None)
    if annotations:
        metadata["annotations"] = annotations
    kept = {name: v for name, v in body.items() if name not in ("apiVersion", "kind", "status")}
    kept["metadata"] = metadata
    return yaml.safe_dump(kept, sort_keys=True, width=1000, allow_unicode=True).splitlines()


def _masked(
    body: Mapping[str, Any] | None, other: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """A Secret with its keys, and whether each has the same value on the other side."""
    if body is None or "data" not in body:
        return body
    known = (other or {}).get("data") or {}
    shown = {
        key: "***" if known.get(key, value) == value else "*** (another value)"
        for key, value in body["data"].items()
    }
    return {**body, "data": shown}


def _style(line: str) -> console.Style:
    if line.startswith(("---", "+++")):
        return console.BOLD
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return {"fg": colour} if colour else console.PLAIN
