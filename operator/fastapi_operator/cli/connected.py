"""A command's way to the cluster: with the kubeconfig and the rights of whoever calls it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from fastapi_operator import naming
from fastapi_operator.cli import inputs
from fastapi_operator.cluster import connection, kinds
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import SERVICE, Kind
from fastapi_operator.facts import Facts

# Who changed a field, as managedFields names it: a person, not the operator.
USER_MANAGER = "kubectl-fastapi"

T = TypeVar("T")

NameArgument = Annotated[str, typer.Argument(help="The FastAPIService.", metavar="NAME")]


@dataclass(frozen=True)
class Cluster:
    """An open connection.

    Attributes:
        client: Sends the requests.
        namespace: The namespace that the command is about.
    """

    client: Client
    namespace: str

    async def service(self, name: str) -> dict[str, Any]:
        """The live FastAPIService; ends the command where there is none."""
        body = await self.client.get(SERVICE, self.namespace, name)
        if body is None:
            inputs.stop(f"FastAPIService {self.namespace}/{name} does not exist")
        return body

    async def children(self, name: str, facts: Facts) -> list[tuple[Kind, dict[str, Any]]]:
        """The live objects that carry a service's label."""
        found = []
        for kind in kinds.on_offer(facts):
            selector = f"{naming.SERVICE_LABEL}={name}"
            async for items, _ in self.client.pages(kind, self.namespace, label_selector=selector):
                found += [(kind, body) for body in items]
        return found


def connected(
    work: Callable[[Cluster], Awaitable[T]],
    *,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    manager: str = USER_MANAGER,
) -> T:
    """Runs some work with a connection; what the cluster refuses ends the command."""

    async def main() -> T:
        configuration = await connection.load(kubeconfig=kubeconfig, context=context)
        where = namespace or connection.default_namespace(kubeconfig=kubeconfig, context=context)
        client = Client(configuration, manager=manager)
        try:
            return await work(Cluster(client, where))
        finally:
            await client.close()

    try:
        return asyncio.run(main())
    except connection.UnreachableError as error:
        inputs.stop(str(error))
    except ApiError as error:
        inputs.stop(f"the API server refused: {error}")
