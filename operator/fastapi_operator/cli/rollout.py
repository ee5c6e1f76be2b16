"""``rollout``: the state of a rollout, with both versions of a canary."""

import asyncio
import datetime
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from fastapi_operator import naming
from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cli.rollout_view import State, lines_of, state_of

_POLL_SECONDS = 2.0


def rollout(  # noqa: PLR0917 (typer reads them as options)
    name: NameArgument,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Follow it until the spec is released or it stops."),
    ] = False,
    hold: Annotated[
        bool, typer.Option("--hold", help="Keep the canary in its step until --resume.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Let the canary continue after --hold.")
    ] = False,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Show the rollout of a service, with both versions of a canary.

    Print the share, requests, errors and p95 of both versions, the judge's verdict and the next
    step. With --hold, the canary keeps its share until --resume, promote or abort; a version
    that is found to be worse is aborted nevertheless.

    Examples:
      fastapi-operator rollout shop
      fastapi-operator rollout shop --watch

    Exit status:
      0  the newest spec is released
      1  it is not released
      2  there is no canary to hold, or the cluster cannot be used
    """
    if hold and resume:
        inputs.fail("--hold and --resume cannot be used together")

    async def work(cluster: Cluster) -> State:
        body = await cluster.read_service(name)
        if hold or resume:
            identity = identity_of(body, cluster) if hold else None
            annotations = {naming.HOLD_ANNOTATION: identity}
            await cluster.patch_service(name, {"metadata": {"annotations": annotations}})
        screen = _Screen()
        screen.show(body)
        while watch and state_of(body) is State.RUNNING:
            await asyncio.sleep(_POLL_SECONDS)
            body = await cluster.read_service(name)
            screen.show(body)
        return state_of(body)

    state = run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    if state is not State.RELEASED:
        raise typer.Exit(1)


def identity_of(body: Mapping[str, Any], cluster: Cluster) -> str:
    """Returns the identity of a service's canary; ends the command if it has none."""
    canary = (body.get("status") or {}).get("canary")
    if not canary:
        name = body["metadata"]["name"]
        inputs.fail(f"{name}: there is no canary; its state: {cluster.command('rollout', name)}")
    return str(canary["id"])


async def decide(
    cluster: Cluster, body: Mapping[str, Any], annotation: str, *, instead_of: str
) -> tuple[str, str]:
    """Requests the end of a service's canary in an annotation, in place of another request.

    Returns:
        The image of the canary, and the command that shows what follows.
    """
    name = body["metadata"]["name"]
    annotations = {annotation: identity_of(body, cluster), instead_of: None}
    await cluster.patch_service(name, {"metadata": {"annotations": annotations}})
    return str(body["status"]["canary"]["image"]), cluster.command("rollout", name)


class _Screen:
    """Prints the lines again over those before; elsewhere than on a terminal, only if they differ.

    Attributes:
        shown: The lines that were printed last.
    """

    def __init__(self) -> None:
        self.shown: list[str] = []

    def show(self, body: Mapping[str, Any]) -> None:
        """Prints the state of a rollout."""
        lines = list(lines_of(body, datetime.datetime.now(datetime.UTC)))
        if sys.stdout.isatty() and self.shown:
            # The cursor to the first of these lines; everything below is erased.
            typer.echo(f"\x1b[{len(self.shown)}F\x1b[J", nl=False)
        elif self._timeless(lines) == self._timeless(self.shown):
            return
        for line in lines:
            console.print_line(line)
        self.shown = lines

    @staticmethod
    def _timeless(lines: list[str]) -> list[str]:
        return [line for line in lines if not line.startswith("  step ")]
