"""``suspend``: leaves a service alone, or takes it up again."""

from typing import Annotated

import typer

from fastapi_operator.cli import inputs
from fastapi_operator.cli.connected import Cluster, NameArgument, connected
from fastapi_operator.cluster.kinds import SERVICE


def suspend(
    name: NameArgument,
    resume: Annotated[
        bool, typer.Option("--resume", help="Reconcile again what was suspended.")
    ] = False,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Stop reconciling a service, by spec.suspend; its pods go on running."""

    async def work(cluster: Cluster) -> None:
        await cluster.service(name)
        # Removed rather than false: the spec is then again as its owner wrote it.
        patch = {"spec": {"suspend": None if resume else True}}
        await cluster.client.merge(SERVICE, cluster.namespace, name, patch)
        typer.echo(f"{name}: {'reconciled again' if resume else 'suspended; its pods go on'}")

    connected(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
