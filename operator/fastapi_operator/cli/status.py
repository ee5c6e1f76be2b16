"""``status``: the current state of a service and its parts."""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from fastapi_operator import naming
from fastapi_operator.cli import console, inputs, table
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cluster import discovery
from fastapi_operator.cluster.kinds import CONTROLLER_REVISION, Kind
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe import health

_READY: console.Style = {"bold": True, "fg": "green"}


class Output(StrEnum):
    """Output formats of the state."""

    TREE = "tree"
    JSON = "json"


def status(
    name: NameArgument,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="Format: a tree, or data for programs.")
    ] = Output.TREE,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Show the state of a service and of each part.

    Print readiness and age of each object, the revision of the database, the tuned values, the
    pending changes and the problems.

    Examples:
      fastapi-operator status shop
      fastapi-operator status shop -n production -o json

    Exit status:
      0  the service is ready
      1  the service is not ready
      2  the service does not exist, or the cluster cannot be used
    """

    async def work(cluster: Cluster) -> dict[str, Any]:
        body = await cluster.read_service(name)
        facts = await discovery.discover(cluster.client)
        return _record(body, await cluster.read_children(name, facts))

    record = run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    if output is Output.JSON:
        console.print_json(record)
    else:
        _print(record)
    if not record["ready"]:
        raise typer.Exit(1)


def _record(
    body: Mapping[str, Any], children: Iterable[tuple[Kind, Mapping[str, Any]]]
) -> dict[str, Any]:
    reported = body.get("status") or {}
    conditions = {item["type"]: item for item in reported.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    current = ready.get("observedGeneration") == body["metadata"]["generation"]
    reason, message = ready.get("reason", "NotObserved"), ready.get("message", "")
    if body["metadata"].get("deletionTimestamp"):
        current, reason, message = False, "Deleting", "the service is being deleted"
    elif not current:
        reason, message = "NotObserved", "the operator has not observed this generation yet"
    return {
        "service": body["metadata"]["name"],
        "namespace": body["metadata"]["namespace"],
        "image": body["spec"].get("image"),
        "url": reported.get("url"),
        "entries": reported.get("entries") or [],
        "ready": ready.get("status") == "True" and current,
        "stalled": conditions.get("Stalled", {}).get("status") == "True",
        "reason": reason,
        "message": message,
        "imageDigest": reported.get("imageDigest"),
        "migration": reported.get("migration"),
        "parts": _parts(conditions, children),
        "tuning": reported.get("tuning") or [],
        "pending": reported.get("pending") or [],
        "settings": reported.get("settings"),
        "problems": reported.get("problems") or [],
    }


def _parts(
    conditions: Mapping[str, Mapping[str, Any]],
    children: Iterable[tuple[Kind, Mapping[str, Any]]],
) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for kind, body in children:
        if kind is CONTROLLER_REVISION:
            continue
        part = body["metadata"]["labels"].get(naming.COMPONENT_LABEL, "")
        state = health.judge(kind.judge, body)
        found.setdefault(part, []).append(
            {
                "kind": kind.kind,
                "name": body["metadata"]["name"],
                "created": body["metadata"]["creationTimestamp"],
                "ready": state.ready,
                "message": state.message,
            }
        )
    parts = []
    for part in Part:
        condition = conditions.get(part.condition)
        if condition is None and part.value not in found:
            continue
        parts.append(
            {
                "part": part.value,
                "ready": None if condition is None else condition["status"] == "True",
                "reason": "" if condition is None else condition.get("reason", ""),
                "message": "" if condition is None else condition.get("message", ""),
                "objects": sorted(
                    found.get(part.value, ()), key=lambda item: (item["kind"], item["name"])
                ),
            }
        )
    return parts


def _print(record: Mapping[str, Any]) -> None:
    stalled = " (stalled)" if record["stalled"] else ""
    message = _cause(record, f"{record['reason']}{stalled}") or record["reason"]
    name = typer.style(record["service"], **console.BOLD)
    _print_node("", "", f"{_mark(record['ready'])}{name}  {record['image']}  ", message)
    for part, branch, below in _branches(record["parts"], ""):
        name = typer.style(part["part"], **console.BOLD)
        revision = _revision(record) if part["part"] == Part.MIGRATION.value else ""
        title = f"{_mark(part['ready'])}{name}  {revision}"
        _print_node(branch, below, title, _cause(part, part["reason"]))
        for item, leaf, under in _branches(part["objects"], below):
            age = typer.style(_age(item["created"]), **console.DIM)
            title = f"{_mark(item['ready'])}{item['kind']} {item['name']}  {age}  "
            _print_node(leaf, under, title, "" if item["ready"] else item["message"])
    for item in record["entries"]:
        console.print_line(f"entry {item['name']}: {item['url']}")
    _print_values(record)
    for item in record["pending"]:
        pending = typer.style("pending:", **console.HEADING)
        console.print_line(f"{pending} {item['name']}: {item['reason']}")
    for item in record["problems"]:
        style = console.ERROR if item["severity"] == "error" else console.WARNING
        severity = typer.style(f"{item['severity']}:", **style)
        console.print_line(f"{severity} {item['path']}: {item['message']}")


def _revision(record: Mapping[str, Any]) -> str:
    """Returns the revision of the database in words; empty if it is not known."""
    revision = (record["migration"] or {}).get("revision")
    return f"revision {revision}  " if revision else ""


def _cause(item: Mapping[str, Any], reason: str) -> str:
    """Returns the message, after the reason under which Troubleshooting has the remedy."""
    if item["ready"] or not reason:
        return str(item["message"])
    return f"{reason}: {item['message']}" if item["message"] else reason


def _branches(items: Sequence[Any], indent: str) -> Iterator[tuple[Any, str, str]]:
    """Yields the items of a branch with the guide before each and the guide before its lines."""
    for index, item in enumerate(items):
        last = index == len(items) - 1
        yield item, indent + ("└── " if last else "├── "), indent + ("    " if last else "│   ")


def _print_node(branch: str, below: str, title: str, message: str) -> None:
    """Prints a node with its whole message: a terminal wraps long lines, nothing is cut."""
    first, *more = message.splitlines() or [""]
    console.print_line(f"{branch}{title}{first}".rstrip())
    for line in more:
        console.print_line(f"{below}  {line}")


def _print_values(record: Mapping[str, Any]) -> None:
    if not record["tuning"]:
        # The status drops them first if it would exceed its bound.
        console.print_line(
            f"numbers: fastapi-operator explain {record['service']} -n {record['namespace']}"
        )
        return
    rows = [[item["name"], str(item["value"]), item["reason"]] for item in record["tuning"]]
    for line in table.format_lines(("number", "value", "reason"), rows):
        console.print_line(line)


def _mark(ready: bool | None) -> str:
    if ready is None:
        return typer.style("· ", **console.DIM)
    return typer.style("✓ ", **_READY) if ready else typer.style("✗ ", **console.ERROR)


def _age(created: str) -> str:
    """Returns the age in the unit that kubectl uses."""
    then = datetime.datetime.fromisoformat(created)
    seconds = max(0, int((datetime.datetime.now(datetime.UTC) - then).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
