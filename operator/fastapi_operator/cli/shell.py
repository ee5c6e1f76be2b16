"""``shell``: a Python shell with the environment of the service."""

import posixpath
from typing import Annotated

import typer

from fastapi_operator.cli import in_pod, inputs, reach
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cluster.pods import LivePod
from fastapi_operator.parts import Part


def shell(  # noqa: PLR0917 (typer reads them as options)
    name: NameArgument,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="Program with its arguments. Default: Python."),
    ] = None,
    part: reach.PartOption = Part.APP,
    pod: Annotated[
        str, typer.Option("--pod", metavar="NAME", help="Pod. Default: one that is ready.")
    ] = "",
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Open a Python shell in a pod of the service.

    The shell has the environment, the packages and the files of the app, and shares the memory and
    CPU of the pod. Write options of the program after --. An image without Python on its PATH, or
    without a shell, runs any program that it has by its path. Needs kubectl, and the rights to list
    pods and to get and create pods/exec.

    Examples:
      fastapi-operator shell shop
      fastapi-operator shell shop -- python -m alembic current
      fastapi-operator shell shop --part background -- sh

    Exit status:
      0  the program succeeded
      2  the service has no such pod, or kubectl is missing
      *  otherwise, that of the program
    """

    async def work(cluster: Cluster) -> tuple[LivePod, str]:
        return await reach.find_pod(cluster, name, part, requested=pod), cluster.namespace

    found, chosen = run_with_cluster(
        work, kubeconfig=kubeconfig, context=context, namespace=namespace
    )
    container = found.main_container
    code = in_pod.run_in_pod(
        found.name,
        container,
        command or [python_of(found.containers[container])],
        namespace=chosen,
        context=context,
        kubeconfig=kubeconfig,
    )
    in_pod.exit_with(code)


def python_of(command: tuple[str, ...]) -> str:
    """Returns the Python of a container: beside its program, if that is given by its path."""
    program = command[0] if command else ""
    directory = posixpath.dirname(program)
    return f"{directory}/python" if posixpath.basename(directory) == "bin" else "python"
