"""The names of the services in a namespace, for completion."""

import asyncio

from fastapi_operator.cluster import connection
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.kinds import SERVICE


def read_names(
    *, kubeconfig: str | None, context: str | None, namespace: str | None, seconds: float
) -> list[str]:
    """Returns the names of the services of a namespace.

    Args:
        kubeconfig: The kubeconfig; None for that of the environment.
        context: The context; None for the current one.
        namespace: The namespace; None for that of the context.
        seconds: The timeout in seconds.

    Raises:
        UnreachableError: There is no usable configuration.
        ApiError: The API server refused.
        TimeoutError: The API server did not respond in time.
    """
    chosen = namespace or connection.default_namespace(kubeconfig=kubeconfig, context=context)

    async def work() -> list[str]:
        client = Client(await connection.load(kubeconfig=kubeconfig, context=context))
        try:
            async with asyncio.timeout(seconds):
                pages = client.pages(SERVICE, chosen)
                return [str(item["metadata"]["name"]) async for page, _ in pages for item in page]
        finally:
            await client.close()

    return asyncio.run(work())
