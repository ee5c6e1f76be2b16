"""Runs an interactive program in a pod, or a client on this machine that reaches one.

``kubectl exec`` runs it, with the caller's kubeconfig and rights: it handles the terminal, its size
and its signals. A password is never an argument, neither here nor in the pod, since the API server
logs the command of an exec.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence

import typer

from fastapi_operator.cli import console, inputs
from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cli.reach import Chooser
from fastapi_operator.cluster import tunnel

_LOOPBACK = "127.0.0.1"


def exec_command(
    pod: str,
    container: str,
    command: Sequence[str],
    *,
    namespace: str,
    context: str | None,
    kubeconfig: str | None,
    terminal: bool,
) -> tuple[str, ...]:
    """Returns the command that runs a program in a container.

    Args:
        pod: The pod.
        container: The container.
        command: The program with its arguments.
        namespace: The namespace of the pod.
        context: The context; None for the current one.
        kubeconfig: The kubeconfig; None for that of the environment.
        terminal: Whether the program gets a terminal.
    """
    return (
        "kubectl",
        *(("--kubeconfig", kubeconfig) if kubeconfig else ()),
        *(("--context", context) if context else ()),
        *("exec", "--namespace", namespace, "--stdin"),
        *(("--tty",) if terminal else ()),
        *(pod, "--container", container, "--", *command),
    )


def run_in_pod(
    pod: str,
    container: str,
    command: Sequence[str],
    *,
    namespace: str,
    context: str | None,
    kubeconfig: str | None,
) -> int:
    """Runs a program in a container; returns its exit status."""
    if shutil.which("kubectl") is None:
        inputs.fail("kubectl is not on PATH, and runs programs in pods; install it")
    whole = exec_command(
        pod,
        container,
        command,
        namespace=namespace,
        context=context,
        kubeconfig=kubeconfig,
        terminal=sys.stdin.isatty() and sys.stdout.isatty(),
    )
    console.print_line(f"in pod {pod}, container {container}", console.DIM, to_stderr=True)
    with subprocess.Popen(whole) as process:  # noqa: S603 (the user's own kubectl)
        # Ctrl+C is for the program.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGINT, before)


@contextlib.asynccontextmanager
async def forwarded(cluster: Cluster, chooser: Chooser) -> AsyncIterator[int]:
    """Yields a port of this machine that leads to a pod."""

    def report(reason: str) -> None:
        console.print_line(f"the connection failed: {reason}", console.WARNING, to_stderr=True)

    async with tunnel.listen(
        cluster.client, cluster.namespace, chooser, port=0, report=report
    ) as port:
        yield port


async def run_local(
    cluster: Cluster, chooser: Chooser, command: Sequence[str], environment: Mapping[str, str]
) -> int:
    """Runs a client on this machine while a port leads to a pod; returns its exit status.

    Args:
        cluster: The connection.
        chooser: Chooses the pod.
        command: The client with its arguments; ``{port}`` stands for the port.
        environment: Its further variables, among them the password; likewise.
    """
    if shutil.which(command[0]) is None:
        inputs.fail(
            f"{command[0]} is not on PATH; install it, or run it in the pod without --local"
        )

    async with forwarded(cluster, chooser) as port:
        filled = {name: value.replace("{port}", str(port)) for name, value in environment.items()}
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        try:
            process = await asyncio.create_subprocess_exec(
                *(word.replace("{port}", str(port)) for word in command),
                env={**os.environ, **filled},
            )
            return await process.wait()
        finally:
            loop.remove_signal_handler(signal.SIGINT)


def exit_with(code: int) -> None:
    """Ends the command with the exit status of a program."""
    if code:
        raise typer.Exit(code if code > 0 else 128 - code)
