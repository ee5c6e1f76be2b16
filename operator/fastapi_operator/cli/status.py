"""``status``: the current state of a service and its parts."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from fastapi_operator.cli import console, inputs, state, table
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cluster import discovery
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.plan.preflight_status import figures_of

_READY: console.Style = {"bold": True, "fg": "green"}
_INTERVAL_SECONDS = 2
_TIMEOUT_SECONDS = 600


class Output(StrEnum):
    """Output formats of the state."""

    TREE = "tree"
    JSON = "json"


def status(  # noqa: PLR0917 (typer reads them as options)
    name: NameArgument,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="Format: a tree, or data for programs.")
    ] = Output.TREE,
    watch: Annotated[
        bool,
        typer.Option("-w", "--watch", help="Show the state and the load until Ctrl-C is pressed."),
    ] = False,
    until_ready: Annotated[
        bool, typer.Option("--until-ready", help="The same, until the service is ready.")
    ] = False,
    timeout: Annotated[
        int | None,
        typer.Option(
            "--timeout",
            min=1,
            metavar="SECONDS",
            help=f"Longest time for --until-ready. Default: {_TIMEOUT_SECONDS}.",
        ),
    ] = None,
    interval: Annotated[
        int | None,
        typer.Option(
            "--interval",
            min=1,
            max=60,
            metavar="SECONDS",
            help=f"Time between two looks. Default: {_INTERVAL_SECONDS}.",
        ),
    ] = None,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Show the state of a service and of each part.

    Print readiness and age of each object, the revision of the database, the tuned values, the
    pending changes and the problems.

    With --watch, a terminal shows the parts, the rollout, requests, errors, p95, the limit of
    requests in flight and shed requests, and the connections beside their budget. The load is read
    from the metrics of the pods, which needs get and create on pods/portforward. Without a
    terminal, or with -o json, the state is printed once for each change.

    Examples:
      fastapi-operator status shop
      fastapi-operator status shop -n production -o json
      fastapi-operator status shop --watch
      fastapi-operator status shop --until-ready --timeout 300

    Exit status:
      0  the service is ready; or --watch was ended
      1  the service is not ready, or did not become ready in time
      2  the service does not exist, or the cluster cannot be used
    """
    if not (watch or until_ready):
        for option, given in (("--interval", interval), ("--timeout", timeout)):
            if given is not None:
                inputs.fail(f"{option} is for --watch and --until-ready")
    if watch or until_ready:
        # Its terminal view imports rich, which takes as long as the rest of the command.
        from fastapi_operator.cli.watch import run  # noqa: PLC0415

        run(
            name,
            as_json=output is Output.JSON,
            interval=interval or _INTERVAL_SECONDS,
            ready_seconds=(timeout or _TIMEOUT_SECONDS) if until_ready else None,
            kubeconfig=kubeconfig,
            context=context,
            namespace=namespace,
        )
        return

    async def work(cluster: Cluster) -> dict[str, Any]:
        facts = await discovery.discover(cluster.client)
        return (await state.read(cluster, name, facts)).record

    record = run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    if output is Output.JSON:
        console.print_json(record)
    else:
        print_tree(record, values=True)
    if not record["ready"]:
        raise typer.Exit(1)


def print_tree(record: Mapping[str, Any], *, values: bool) -> None:
    """Prints the state as a tree.

    Args:
        record: The state.
        values: Whether to print the tuned values too.
    """
    stalled = " (stalled)" if record["stalled"] else ""
    message = _cause(record, f"{record['reason']}{stalled}") or record["reason"]
    name = typer.style(record["service"], **console.BOLD)
    _print_node("", "", f"{_mark(record['ready'])}{name}  {record['image']}  ", message)
    for part, branch, below in _branches(record["parts"], ""):
        name = typer.style(part["part"], **console.BOLD)
        title = f"{_mark(part['ready'])}{name}  {_result(record, part['part'])}"
        _print_node(branch, below, title, _cause(part, part["reason"]))
        for item, leaf, under in _branches(part["objects"], below):
            age = typer.style(_age(item["created"]), **console.DIM)
            title = f"{_mark(item['ready'])}{item['kind']} {item['name']}  {age}  "
            _print_node(leaf, under, title, "" if item["ready"] else item["message"])
    if record["overloaded"]:
        overloaded = typer.style("overloaded:", **console.WARNING)
        console.print_line(f"{overloaded} {record['overloaded']}")
    if record["canary"]:
        canary = record["canary"]
        subject = f"trial of {canary['trial']}" if canary.get("trial") else canary["image"]
        console.print_line(
            f"canary: {subject} {canary['phase'].lower()}, {canary['percent']} % of the "
            f"requests: {canary['next']}"
        )
    if record["leak"]:
        leak = typer.style("memory:", **console.WARNING)
        console.print_line(f"{leak} {record['leak']['message']} ({record['leak']['at']})")
    for item in record["entries"]:
        console.print_line(f"entry {item['name']}: {item['url']}")
    if values:
        _print_values(record)
    for item in record["pending"]:
        pending = typer.style("pending:", **console.HEADING)
        console.print_line(f"{pending} {item['name']}: {item['reason']}")
    for item in record["problems"]:
        style = console.ERROR if item["severity"] == "error" else console.WARNING
        severity = typer.style(f"{item['severity']}:", **style)
        console.print_line(f"{severity} {item['path']}: {item['message']}")


def _result(record: Mapping[str, Any], part: str) -> str:
    """Returns the result of a Job: the image, or the revision; empty for other parts."""
    if part == Part.PREFLIGHT.value:
        found = figures_of(record["preflight"] or {})
        return f"{found}  " if found else ""
    if part != Part.MIGRATION.value:
        return ""
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
