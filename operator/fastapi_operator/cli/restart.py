"""``restart``: a rolling restart of the app."""

import typer

from fastapi_operator import naming
from fastapi_operator.cli import inputs
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster


def restart(
    name: NameArgument,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Restart the app's pods one after another.

    Use it for example if an image was pushed again under the same tag. Database, cache and proxy
    keep running. The command sets an annotation of the FastAPIService, so it needs only the rights
    to get and patch that resource.

    Examples:
      fastapi-operator restart shop

    Exit status:
      0  the restart is requested
      2  the service does not exist, or the cluster cannot be used
    """

    async def work(cluster: Cluster) -> str:
        await cluster.read_service(name)
        await cluster.set_time_annotation(name, naming.RESTART_ANNOTATION)
        return cluster.command("status", name)

    watch = run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    typer.echo(f"{name}: restart requested; watch it with: {watch}")
