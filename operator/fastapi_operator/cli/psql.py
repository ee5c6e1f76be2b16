"""``psql``: the database of a service."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from fastapi_operator import naming
from fastapi_operator.cli import in_pod, inputs, reach
from fastapi_operator.cli.connect import Cluster, NameArgument, run_with_cluster
from fastapi_operator.cli.stores import read_credentials
from fastapi_operator.cluster.kinds import POD
from fastapi_operator.parts import Part
from fastapi_operator.resources.database import RUN_DIRECTORY
from fastapi_operator.resources.desired import PASSWORD, USERNAME
from fastapi_operator.resources.inputs import APP_ROLE, DATABASE, MIGRATOR_ROLE

_CONTAINER = Part.DATABASE.record.container


class Role(StrEnum):
    """The role of the session."""

    APP = "app"
    OWNER = "owner"
    SUPERUSER = "superuser"


def psql(
    name: NameArgument,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENT", help="Arguments of psql, after --."),
    ] = None,
    *,
    role: Annotated[
        Role,
        typer.Option("--role", help="The app's role, the owner of the tables, or the superuser."),
    ] = Role.APP,
    local: Annotated[
        bool,
        typer.Option("--local", help="Run the psql of this machine, for example for its files."),
    ] = False,
    namespace: inputs.NamespaceOption = None,
    context: inputs.ContextOption = None,
    kubeconfig: inputs.KubeconfigOption = None,
) -> None:
    """Open psql on the database of a service.

    psql runs in the pod of the database, so it needs no password and has the version of the server.
    That needs kubectl, and the rights to list pods and to get and create pods/exec.

    With --local, and for an external database, psql runs on this machine. It reaches the database,
    or its pooler, by a forwarded port, and gets the password of the Secret in its environment. That
    needs psql, and the rights to get the Secret and to get and create pods/portforward. A pooler
    gives each transaction another session.

    Examples:
      fastapi-operator psql shop
      fastapi-operator psql shop -- -c 'select count(*) from users'
      fastapi-operator psql shop --role owner < change.sql

    Exit status:
      0  psql succeeded
      2  the service has no database that can be reached, or a program is missing
      *  otherwise, that of psql
    """
    extra = list(arguments or ())

    async def work(cluster: Cluster) -> tuple[str, str, list[str]] | int:
        postgres = (await cluster.read_service(name))["spec"].get("postgres")
        if postgres is None:
            inputs.fail(f"{name}: the service has no database (spec.postgres)")
        mode = postgres.get("mode") or "Managed"
        if local or mode == "External":
            return await _run_local(cluster, name, mode, role, extra)
        if mode == "CloudNativePG":
            # The environment of its containers has the directory of the socket.
            pod_name = await primary(cluster, name)
            return pod_name, cluster.namespace, command(role, extra, socket="", owner=APP_ROLE)
        pod = await reach.find_pod(cluster, name, Part.DATABASE)
        return pod.name, cluster.namespace, command(role, extra, socket=RUN_DIRECTORY)

    place: dict[str, Any] = {"kubeconfig": kubeconfig, "context": context}
    found = run_with_cluster(work, namespace=namespace, **place)
    if isinstance(found, int):
        in_pod.exit_with(found)
        return
    pod, chosen, whole = found
    code = in_pod.run_in_pod(pod, _CONTAINER, whole, namespace=chosen, **place)
    in_pod.exit_with(code)


def command(
    role: Role, arguments: list[str], *, socket: str, owner: str = MIGRATOR_ROLE
) -> list[str]:
    """Returns the command in the pod, where the superuser connects over the socket.

    The role is set for the session; ``RESET ROLE`` returns to the superuser.

    Args:
        role: The role.
        arguments: The arguments of psql.
        socket: The directory of the socket; empty if the environment of the pod has it.
        owner: The role that owns the tables.
    """
    names = {Role.APP: APP_ROLE, Role.OWNER: owner}
    variables = [f"PGHOST={socket}"] if socket else []
    variables += [f"PGOPTIONS=-c role={names[role]}"] if role in names else []
    return [
        *("env", *variables),
        *("psql", "-U", "postgres", "-d", DATABASE, *arguments),
    ]


async def _run_local(
    cluster: Cluster, name: str, mode: str, role: Role, arguments: list[str]
) -> int:
    # The credentials of another database are not for clients of this machine.
    part = Part.DATABASE if mode == "Managed" else Part.POOLER
    if role is Role.SUPERUSER or (role is Role.OWNER and mode != "Managed"):
        inputs.fail(f"--role {role}: no Secret of the service has its password")
    if part is Part.POOLER and not await reach.running_pods(cluster, name, part):
        inputs.fail(
            f"{name}: the service does not run the database and has no pooler, so no pod leads to "
            f"it; connect to its own address, or from the app: {cluster.command('shell', name)}"
        )
    chooser = reach.Chooser(cluster, name, part, part.record.port_name)
    environment = await session(cluster, name, part, role)
    return await in_pod.run_local(cluster, chooser, ["psql", *arguments], environment)


async def session(cluster: Cluster, name: str, part: Part, role: Role) -> dict[str, str]:
    """Returns the variables of a psql of this machine, with ``{port}`` for the forwarded port.

    Args:
        cluster: The connection.
        name: Name of the service.
        part: The database, or the pooler in front of it.
        role: The app's role or the owner.
    """
    keys = (USERNAME, PASSWORD) if role is Role.APP else (MIGRATOR_ROLE,)
    secret = naming.child_name(name, part.record.suffix)
    *given, password = await read_credentials(cluster, secret, keys)
    return {
        "PGHOST": "127.0.0.1",
        "PGPORT": "{port}",
        "PGDATABASE": DATABASE,
        "PGUSER": given[0] if given else MIGRATOR_ROLE,
        "PGPASSWORD": password,
    }


async def primary(cluster: Cluster, name: str) -> str:
    """Returns the pod in which CloudNativePG writes."""
    cluster_name = naming.child_name(name, Part.DATABASE.record.suffix)
    selector = f"cnpg.io/cluster={cluster_name},cnpg.io/instanceRole=primary"
    async for items, _ in cluster.client.pages(POD, cluster.namespace, label_selector=selector):
        for item in items:
            return str(item["metadata"]["name"])
    inputs.fail(
        f"{name}: no pod of the primary is running; see why with: {cluster.command('status', name)}"
    )
