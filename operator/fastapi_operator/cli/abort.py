"""``abort``: ends a canary; the released version serves all requests."""

import typer

from fastapi_operator import naming
from fastapi_operator.cli import inputs
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cli.rollout import decide, identity_of


def abort(
    name: NameArgument,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Abort a canary and send all requests to the released version.

    The released version is not changed, and the database keeps the schema of the new version. The
    spec stays as it is and is not released: apply another one, or run rollback. The command sets
    an annotation of the FastAPIService, so it needs only the rights to get and patch that resource.

    Examples:
      fastapi-operator abort shop

    Exit status:
      0  the abort is requested
      2  there is no canary, or the cluster cannot be used
    """

    async def work(cluster: Cluster) -> tuple[str, str]:
        body = await cluster.read_service(name)
        identity_of(body, cluster)
        if body["status"]["canary"]["phase"] == "Promoting":
            inputs.fail(
                f"{name}: its version is released already; to go back, run: "
                + cluster.command("rollback", name)
            )
        return await decide(
            cluster, body, naming.ABORT_ANNOTATION, instead_of=naming.PROMOTE_ANNOTATION
        )

    image, follow = run_with_cluster(
        work, kubeconfig=kubeconfig, context=context, namespace=namespace
    )
    typer.echo(f"{name}: abort of {image} requested; follow it with: {follow} --watch")
