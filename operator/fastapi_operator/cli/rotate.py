"""``rotate``: replaces the app's generated credentials under traffic."""

import typer

from fastapi_operator import naming
from fastapi_operator.cli import inputs, operator_settings
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.plan.desired_state import build_desired_state


def rotate(
    name: NameArgument,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Rotate the app's generated credentials without downtime.

    The database, cache and queue each have two users for the app. A rotation replaces the pods with
    pods that use the other user, and then gives the former user a new password, which no process
    uses until the next rotation. To replace both passwords, run the command twice. The command
    sets an annotation of the FastAPIService, so it needs only the rights to get and patch that
    resource.

    Examples:
      fastapi-operator rotate shop

    Exit status:
      0  the rotation is requested
      2  the service has no generated credentials, or the cluster cannot be used
    """

    async def work(cluster: Cluster) -> None:
        body = await cluster.read_service(name)
        used = await operator_settings.read_if_published(cluster, body)
        generated = (
            item.generate for item in build_desired_state(body, used.settings, Facts()).objects
        )
        if not any(generate and generate.alternating for generate in generated):
            inputs.fail(
                f"{name}: the operator generated no credentials for it; to rotate your own, change "
                f"their Secrets and label these {naming.WATCHED_LABEL}=true, so that the pods "
                "restart with the new values"
            )
        await cluster.set_time_annotation(name, naming.ROTATE_ANNOTATION)

    run_with_cluster(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
    typer.echo(
        f"{name}: rotation requested; until it is complete, status.pending shows its next step"
    )
