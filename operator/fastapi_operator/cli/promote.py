"""``promote``: releases the version of a canary without the steps that are left."""

import typer

from fastapi_operator import naming
from fastapi_operator.cli import inputs
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cli.rollout import decide


def promote(
    name: NameArgument,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Release the version of a canary without further steps.

    The app rolls out to the new version. An aborted version is released as well, which starts no
    other canary. The command sets an annotation of the FastAPIService, so it needs only the rights
    to get and patch that resource.

    Examples:
      fastapi-operator promote shop

    Exit status:
      0  the promotion is requested
      2  there is no canary, or the cluster cannot be used
    """

    async def work(cluster: Cluster) -> tuple[str, str]:
        body = await cluster.read_service(name)
        # Of two requests about the same canary, that to abort it would count.
        return await decide(
            cluster, body, naming.PROMOTE_ANNOTATION, instead_of=naming.ABORT_ANNOTATION
        )

    image, follow = run_with_cluster(
        work, kubeconfig=kubeconfig, context=context, namespace=namespace
    )
    typer.echo(f"{name}: promotion of {image} requested; follow it with: {follow} --watch")
