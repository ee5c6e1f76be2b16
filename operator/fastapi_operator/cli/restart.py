"""``restart``: a rolling restart of the app."""

import datetime

import typer

from fastapi_operator import naming
from fastapi_operator.cli import inputs
from fastapi_operator.cli.connected import Cluster, NameArgument, connected
from fastapi_operator.cluster.kinds import SERVICE


def restart(
    name: NameArgument,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Replace the app's pods one after another; database, cache and proxy go on.

    The wish is an annotation of the service, so that only the right to change it is needed and
    the operator keeps it: the next start of an image whose tag was pushed again.
    """
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def work(cluster: Cluster) -> None:
        await cluster.service(name)
        patch = {"metadata": {"annotations": {naming.RESTART_ANNOTATION: now}}}
        await cluster.client.merge(SERVICE, cluster.namespace, name, patch)
        typer.echo(f"{name}: the app restarts; watch it with: fastapi-operator status {name}")

    connected(work, kubeconfig=kubeconfig, context=context, namespace=namespace)
