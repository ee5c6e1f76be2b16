"""The connection of a command to the cluster, with the caller's kubeconfig and rights."""

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from fastapi_operator import naming
from fastapi_operator.cli import inputs
from fastapi_operator.cli.completion import service_names
from fastapi_operator.cluster import connection, kinds
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import SERVICE, Kind
from fastapi_operator.facts import Facts

# The field manager of changes that a person makes with a command, unlike the operator's own.
USER_MANAGER = "kubectl-fastapi"

T = TypeVar("T")

NameArgument = Annotated[
    str,
    typer.Argument(
        help="Name of the FastAPIService, for example shop.",
        metavar="NAME",
        autocompletion=service_names,
    ),
]


@dataclass(frozen=True)
class Cluster:
    """An open connection.

    Attributes:
        client: Sends the requests.
        namespace: The namespace that the command works in.
        context: The context of the kubeconfig that was given; None for the current one.
    """

    client: Client
    namespace: str
    context: str | None = None

    def command(self, verb: str, name: str) -> str:
        """Returns another command about a service, for the same namespace and context."""
        context = f" --context {self.context}" if self.context else ""
        return f"fastapi-operator {verb} {name} -n {self.namespace}{context}"

    async def read_service(self, name: str) -> dict[str, Any]:
        """Returns the live FastAPIService; ends the command if it does not exist."""
        body = await self.client.get(SERVICE, self.namespace, name)
        if body is None:
            await self._require_definition()
            inputs.fail(
                f"FastAPIService {self.namespace}/{name} does not exist; list those that do with: "
                f"kubectl get fastapiservices -n {self.namespace}"
            )
        return body

    async def _require_definition(self) -> None:
        """Ends the command if the cluster has no FastAPIServices at all."""
        try:
            async for _ in self.client.pages(SERVICE, self.namespace):
                return
        except ApiError as error:
            # Without the right to list, both reasons are possible.
            if error.status == 404:
                inputs.fail(
                    "the cluster does not serve FastAPIServices; check --context, or install the "
                    "operator with its CustomResourceDefinition"
                )

    async def patch_service(self, name: str, patch: dict[str, Any]) -> None:
        """Merges a patch into the live FastAPIService."""
        await self.client.merge(SERVICE, self.namespace, name, patch)

    async def set_time_annotation(self, name: str, annotation: str) -> None:
        """Sets an annotation of the live FastAPIService to the current time."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        await self.patch_service(name, {"metadata": {"annotations": {annotation: now}}})

    async def read_children(self, name: str, facts: Facts) -> list[tuple[Kind, dict[str, Any]]]:
        """Returns the live objects that carry the service's label."""
        found = []
        for kind in kinds.on_offer(facts):
            selector = f"{naming.SERVICE_LABEL}={name}"
            async for items, _ in self.client.pages(kind, self.namespace, label_selector=selector):
                found += [(kind, body) for body in items]
        return found


def run_with_cluster(
    work: Callable[[Cluster], Awaitable[T]],
    *,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    manager: str = USER_MANAGER,
) -> T:
    """Runs work with a connection; an error of the cluster ends the command."""

    async def main() -> T:
        configuration = await connection.load(kubeconfig=kubeconfig, context=context)
        chosen = namespace or connection.default_namespace(kubeconfig=kubeconfig, context=context)
        client = Client(configuration, manager=manager)
        try:
            return await work(Cluster(client, chosen, context))
        finally:
            await client.close()

    try:
        return asyncio.run(main())
    except connection.UnreachableError as error:
        inputs.fail(str(error))
    except ApiError as error:
        if error.status == 0:
            inputs.fail(f"cannot reach the API server: {error.message}; check the kubeconfig")
        inputs.fail(f"the API server rejected the request: {error}")
