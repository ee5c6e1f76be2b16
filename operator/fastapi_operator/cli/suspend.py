"""``suspend``: stops the reconciliation of a service, or resumes it."""

from typing import Annotated

import typer

from fastapi_operator.cli import inputs
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster


def suspend(
    name: NameArgument,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the reconciliation instead.")
    ] = False,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Suspend or resume the reconciliation of a service.

    Sets spec.suspend to true, or removes the field. While a service is suspended, its pods keep
    running, and the operator neither applies changes nor reverts drift.

    Examples:
      fastapi-operator suspend shop
      fastapi-operator suspend shop --resume

    Exit status:
      0  the service is changed
      2  the service does not exist, or the cluster cannot be used
    """

    async def work(cluster: Cluster) -> None:
        await cluster.read_service(name)
        # The field is removed instead of set to false, so that the spec is as its owner wrote it.
        await cluster.patch_service(name, {"spec": {"suspend": None if resume else True}})

    run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    typer.echo(
        f"{name}: reconciliation is resumed"
        if resume
        else f"{name}: reconciliation is suspended; running pods are unaffected"
    )
