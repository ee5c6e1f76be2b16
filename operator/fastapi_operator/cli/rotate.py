"""``rotate``: other credentials for the app's database, cache and queue, under traffic."""

import datetime

import typer

from fastapi_operator import naming
from fastapi_operator.cli import inputs
from fastapi_operator.cli.connected import Cluster, NameArgument, connected
from fastapi_operator.cluster.kinds import SERVICE
from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.plan.desired_state import draw
from fastapi_operator.settings import Settings


def rotate(
    name: NameArgument,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Change the app's credentials of database, cache and queue while requests go on.

    Two users alternate: pods are replaced with the other one, then the former gets a password that
    nobody has. Run it twice to replace both. The wish is an annotation of the service, so that only
    the right to change it is needed.
    """
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def work(cluster: Cluster) -> None:
        body = await cluster.service(name)
        made = (item.generate for item in draw(body, Settings(), Facts()).desired)
        if not any(generate and generate.alternating for generate in made):
            inputs.stop(
                f"{name} has no credentials that the operator made: change your own Secrets, "
                f"labelled {naming.WATCHED_LABEL}=true, and its pods take them up"
            )
        patch = {"metadata": {"annotations": {naming.ROTATE_ANNOTATION: now}}}
        await cluster.client.merge(SERVICE, cluster.namespace, name, patch)
        typer.echo(
            f"{name}: credentials rotate; status.pending says what that waits for, until it is done"
        )

    connected(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
